package simulator

import (
	"cmp"
	"time"
)

// Switches says how the simulator reads what the providers' documentation
// leaves open. The zero value is the likeliest reading of each; the tags are
// for a command line made from the struct (kong).
type Switches struct {
	MaxTokens int `help:"Access tokens and grants kept alive for each provider; beyond it the oldest die." default:"100000"`

	Fintecture Fintecture `embed:"" prefix:"fintecture-"`
	Flinks     Flinks     `embed:"" prefix:"flinks-"`
	FinAPI     FinAPI     `embed:"" prefix:"finapi-"`
}

// Rotation says what becomes of a refresh token that is spent. No provider
// documents it beyond doubt.
type Rotation struct {
	// Rotation none keeps the refresh token; grace gives a successor and lets
	// the old one return that same successor for a while; strict gives a
	// successor and ends the old one at once.
	Rotation string `help:"What becomes of a spent refresh token: none, grace or strict." enum:"none,grace,strict" default:"none"`
	// RotationGrace is how long a spent token still works with grace.
	RotationGrace time.Duration `help:"How long a spent refresh token still works with rotation grace." default:"60s"`
	// RotationReuse says what a dead refresh token that is posted again does:
	// refuse it, or revoke its successors as well (RFC 9700 §4.14.2).
	RotationReuse string `help:"What reuse of a spent refresh token does: refuse it, or revoke the whole grant." enum:"refuse,revoke" default:"refuse"`
}

// Fintecture are the switches of Fintecture.
type Fintecture struct {
	Rotation `embed:""`

	// ClientAuth: all SDKs use Basic; body is in a third party's document only.
	ClientAuth string `help:"Where client credentials are accepted: basic, body or both." enum:"basic,body,both" default:"basic"`
	// AppID: every SDK sends app_id with client_credentials; whether it must be there is not said.
	AppID string `name:"app-id" help:"Whether client_credentials needs app_id in the body." enum:"required,optional" default:"required"`
	// Scope: whether client_credentials needs one; without it a token is for PIS.
	Scope string `help:"Whether client_credentials needs a scope." enum:"required,optional" default:"optional"`
	// Scopes: OAC scopes are open-ended, so any well-formed scope is accepted.
	Scopes string `help:"Which scopes are accepted: any well-formed one, or the known ones." enum:"any,known" default:"any"`
	// ScopeCase matters with Scopes known only.
	ScopeCase string `help:"Whether known scopes are compared with their case." enum:"insensitive,sensitive" default:"insensitive"`
	// RefreshEcho: whether a refresh that keeps the token repeats it.
	RefreshEcho bool `help:"Repeat the refresh token in the answer to a refresh that keeps it."`
	// RefreshLifetime: not documented; consent law is the outer bound.
	RefreshLifetime time.Duration `help:"How long a refresh token lives." default:"4320h"`
	AccessLifetime  time.Duration `help:"How long an access token lives." default:"1h"`
	// CodeLifetime: "wrong or expired" is all that is said.
	CodeLifetime time.Duration `help:"How long an authorization code lives." default:"10m"`
	// CodeReuse: RFC 6749 §4.1.2 says should revoke.
	CodeReuse string `help:"What a code used twice does: refuse it, or revoke the tokens it gave." enum:"refuse,revoke" default:"refuse"`
	// Errors: the OAuth paths' error bodies were never seen.
	Errors string `help:"Shape of errors on the OAuth paths: the API's envelope, or RFC 6749's." enum:"envelope,oauth" default:"envelope"`
	// ErrorText: both names occur in the SDKs.
	ErrorText string `help:"Name of the text in an error." enum:"message,detail" default:"message"`
	// SignedTokens: whether production wants token calls signed.
	SignedTokens bool `help:"Refuse token calls without signature headers (they are not verified)."`
	// Connect: the documentation says that all but token calls are signed.
	Connect string `help:"Whether connect wants the application's signature, or takes any call." enum:"signed,any" default:"signed"`
	// RefreshAlias: one SDK posts there; probably its mistake.
	RefreshAlias bool `help:"Serve /oauth/refresh_token too."`
}

// Flinks are the switches of Flinks.
type Flinks struct {
	Rotation `embed:""`

	// ClientAuth: documented in prose only.
	ClientAuth string `help:"Where client credentials are accepted: body, basic or both." enum:"body,basic,both" default:"both"`
	// Login: one page says that a new log-in ends earlier refresh tokens.
	Login string `help:"What a new consent of the same user does to the earlier refresh token." enum:"supersede,keep" default:"supersede"`
	// Idle is documented; shorter ones are for tests.
	Idle           time.Duration `help:"How long a refresh token lives unused." default:"720h"`
	AccessLifetime time.Duration `help:"How long an access token lives." default:"299s"`
	// ExpiresIn: the schema's default of 0 may be an artefact.
	ExpiresIn    string        `help:"What expires_in says: the seconds, zero, or nothing at all." enum:"seconds,zero,absent" default:"seconds"`
	CodeLifetime time.Duration `help:"How long an authorization code lives." default:"10m"`
	CodeReuse    string        `help:"What a code used twice does: refuse it, or revoke the tokens it gave." enum:"refuse,revoke" default:"refuse"`
	// Algorithm of the JWTs is not documented; HS256 is the quick one.
	Algorithm string `help:"Algorithm that signs the JWTs." enum:"HS256,RS256" default:"HS256"`
	// ClientSubject: the claims of a client token are not documented.
	ClientSubject bool `help:"Give client tokens a sub claim, the client id."`
	// Correlation: the headers are documented for data answers only.
	Correlation bool `help:"Send ob-correlation-id on the token path too."`
	// InvalidClient: documented as 400; the RFC and the token page's prose say 401.
	InvalidClient int    `help:"Status of invalid_client: 400 or 401." enum:"400,401" default:"400"`
	Scopes        string `help:"Which scopes are accepted: any well-formed one, or the known ones." enum:"any,known" default:"any"`
}

// FinAPI are the switches of finAPI.
type FinAPI struct {
	Rotation `embed:""`

	// ClientAuth: Basic is undocumented.
	ClientAuth string `help:"Where client credentials are accepted: body, basic or both." enum:"body,basic,both" default:"body"`
	// Errors400: the literal body was never seen.
	Errors400 string `name:"errors-400" help:"Shape of a 400 of the token path: finAPI's errors, or RFC 6749's." enum:"errors,oauth" default:"errors"`
	// RefreshAccess: not stated.
	RefreshAccess string `help:"What a refresh does with the live access token: replace it, add one beside it, or hand out the same." enum:"replace,add,same" default:"replace"`
	// RefreshEcho: the schema says "only set for password".
	RefreshEcho bool `help:"Repeat the refresh token in the answer to a refresh that keeps it."`
	// RefreshLifetime is configurable there; its default is not documented.
	RefreshLifetime time.Duration `help:"How long a refresh token lives." default:"720h"`
	ClientLifetime  time.Duration `help:"How long a client's access token lives." default:"1h"`
	UserLifetime    time.Duration `help:"How long a user's access token lives." default:"1h"`
	// NeverExpires: a lifetime of 0 in the client's configuration.
	NeverExpires bool `help:"Access tokens never expire; expires_in is 0."`
	TokenLength  int  `help:"Characters of an access token; finAPI allows up to 8192." default:"128"`
	// Version: a mandator is bound to one; the other's paths answer 403.
	Version string `help:"API version that the client is bound to." enum:"v2,v1" default:"v2"`
	// PlainToken: /oauth/token is V1's, yet many V2 clients are said to use it.
	PlainToken string `help:"What /oauth/token does for a client bound to v2." enum:"refuse,serve" default:"refuse"`
	// Role: an administrator's client cannot obtain user tokens.
	Role string `help:"Role of the client." enum:"application,admin" default:"application"`
	// MaxLogins is configurable there; its default is not documented.
	MaxLogins int `help:"Failed log-ins in a row that lock a user; negative for no limit." default:"5"`
	// ManualVerification: isUserAutoVerificationEnabled=false.
	ManualVerification bool `help:"New users must be verified before they can log in."`
	// AutoUpdate: with disabled, isAutoUpdateEnabled:true is refused.
	AutoUpdate string `help:"Whether the client may enable automatic updates." enum:"allowed,disabled" default:"allowed"`
	// MissingField: the status of MISSING_FIELD is not documented.
	MissingField int `help:"Status of MISSING_FIELD: 400 or 422." enum:"400,422" default:"400"`
}

// Negative returns the name, as a command line has it, of a lifetime or a
// number that must not be negative and is; "" where none is.
func (s Switches) Negative() string {
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"max-tokens", int64(s.MaxTokens)},
		{"fintecture-rotation-grace", int64(s.Fintecture.RotationGrace)}, {"fintecture-refresh-lifetime", int64(s.Fintecture.RefreshLifetime)},
		{"fintecture-access-lifetime", int64(s.Fintecture.AccessLifetime)}, {"fintecture-code-lifetime", int64(s.Fintecture.CodeLifetime)},
		{"flinks-rotation-grace", int64(s.Flinks.RotationGrace)}, {"flinks-idle", int64(s.Flinks.Idle)},
		{"flinks-access-lifetime", int64(s.Flinks.AccessLifetime)}, {"flinks-code-lifetime", int64(s.Flinks.CodeLifetime)},
		{"finapi-rotation-grace", int64(s.FinAPI.RotationGrace)}, {"finapi-refresh-lifetime", int64(s.FinAPI.RefreshLifetime)},
		{"finapi-client-lifetime", int64(s.FinAPI.ClientLifetime)}, {"finapi-user-lifetime", int64(s.FinAPI.UserLifetime)},
		{"finapi-token-length", int64(s.FinAPI.TokenLength)},
	} {
		if n.value < 0 {
			return n.name
		}
	}
	return ""
}

// Settled returns the switches with every default in its place.
func (s Switches) Settled() Switches {
	s.MaxTokens = cmp.Or(s.MaxTokens, 100_000)
	s.Fintecture = s.Fintecture.settled()
	s.Flinks = s.Flinks.settled()
	s.FinAPI = s.FinAPI.settled()
	return s
}

func (r Rotation) settled() Rotation {
	r.Rotation = cmp.Or(r.Rotation, "none")
	r.RotationGrace = cmp.Or(r.RotationGrace, time.Minute)
	r.RotationReuse = cmp.Or(r.RotationReuse, "refuse")
	return r
}

func (f Fintecture) settled() Fintecture {
	f.Rotation = f.Rotation.settled()
	f.ClientAuth = cmp.Or(f.ClientAuth, "basic")
	f.AppID = cmp.Or(f.AppID, "required")
	f.Scope = cmp.Or(f.Scope, "optional")
	f.Scopes = cmp.Or(f.Scopes, "any")
	f.ScopeCase = cmp.Or(f.ScopeCase, "insensitive")
	f.RefreshLifetime = cmp.Or(f.RefreshLifetime, 180*24*time.Hour)
	f.AccessLifetime = cmp.Or(f.AccessLifetime, time.Hour)
	f.CodeLifetime = cmp.Or(f.CodeLifetime, 10*time.Minute)
	f.CodeReuse = cmp.Or(f.CodeReuse, "refuse")
	f.Errors = cmp.Or(f.Errors, "envelope")
	f.Connect = cmp.Or(f.Connect, "signed")
	f.ErrorText = cmp.Or(f.ErrorText, "message")
	return f
}

func (f Flinks) settled() Flinks {
	f.Rotation = f.Rotation.settled()
	f.ClientAuth = cmp.Or(f.ClientAuth, "both")
	f.Login = cmp.Or(f.Login, "supersede")
	f.Idle = cmp.Or(f.Idle, 30*24*time.Hour)
	f.AccessLifetime = cmp.Or(f.AccessLifetime, 299*time.Second)
	f.ExpiresIn = cmp.Or(f.ExpiresIn, "seconds")
	f.CodeLifetime = cmp.Or(f.CodeLifetime, 10*time.Minute)
	f.CodeReuse = cmp.Or(f.CodeReuse, "refuse")
	f.Algorithm = cmp.Or(f.Algorithm, "HS256")
	f.InvalidClient = cmp.Or(f.InvalidClient, 400)
	f.Scopes = cmp.Or(f.Scopes, "any")
	return f
}

func (f FinAPI) settled() FinAPI {
	f.Rotation = f.Rotation.settled()
	f.ClientAuth = cmp.Or(f.ClientAuth, "body")
	f.Errors400 = cmp.Or(f.Errors400, "errors")
	f.RefreshAccess = cmp.Or(f.RefreshAccess, "replace")
	f.RefreshLifetime = cmp.Or(f.RefreshLifetime, 30*24*time.Hour)
	f.ClientLifetime = cmp.Or(f.ClientLifetime, time.Hour)
	f.UserLifetime = cmp.Or(f.UserLifetime, time.Hour)
	f.TokenLength = cmp.Or(f.TokenLength, 128)
	f.Version = cmp.Or(f.Version, "v2")
	f.PlainToken = cmp.Or(f.PlainToken, "refuse")
	f.Role = cmp.Or(f.Role, "application")
	f.MaxLogins = cmp.Or(f.MaxLogins, 5)
	f.AutoUpdate = cmp.Or(f.AutoUpdate, "allowed")
	f.MissingField = cmp.Or(f.MissingField, 400)
	return f
}
