package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/internal/secret"
)

// Options says what a Gate works with.
type Options struct {
	Clients *Clients // nil: no static tokens
	Issuer  *Issuer  // nil: no JWTs
	// Required asks for a token though there is no issuer and no file of
	// clients yet.
	Required bool
	// PublicURL is where clients reach this server, without a slash at its
	// end: https://bank.example. The metadata and the challenges name it.
	PublicURL string
	Log       zerolog.Logger
}

// Gate lets callers in. It is safe for concurrent use.
type Gate struct{ o Options }

// New returns a Gate. Without an issuer, without a file of clients and unless
// a token is required, everybody gets in as Local; a file of clients that
// comes later closes the gate at once.
func New(o Options) *Gate { return &Gate{o: o} }

// Open reports whether everybody gets in. Only a server on loopback may start
// with such a gate.
func (g *Gate) Open() bool {
	return !g.o.Required && g.o.Issuer == nil && (g.o.Clients == nil || !g.o.Clients.kept())
}

// RereadClients reads the file of clients though it may look the same, which
// is otherwise done when it has changed. A file that cannot be used is the
// error, and admits nobody.
func (g *Gate) RereadClients() error {
	if g.o.Clients == nil {
		return nil
	}
	return g.o.Clients.reread()
}

// RereadKeys asks the issuer for its keys, which is otherwise done as they
// age. It fails where the issuer does not give them, and then nothing changes.
func (g *Gate) RereadKeys(ctx context.Context) error {
	if g.o.Issuer == nil {
		return nil
	}
	return g.o.Issuer.keys.reread(ctx)
}

// Handler admits callers to next, which finds them with FromContext. The
// Authorization header goes no further.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := g.admit(r)
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), caller)))
	})
}

// Whose returns the principal of a request that need not have one, such as a
// browser's; false where it says nothing of itself. A token that is not admitted
// is "", nobody's.
func (g *Gate) Whose(r *http.Request) (string, bool) {
	caller, err := g.admit(r)
	var none *refusal
	return caller.Principal, err == nil || !errors.As(err, &none) || none.text != ""
}

// Keeps reports whether a principal that was let in once has the scope today: a
// client until it is removed, Local as long as everybody gets in, and one of
// the issuer's until the last token of its that came here has expired.
func (g *Gate) Keeps(principal, scope string) bool {
	return g.keeps(principal, func(scopes []string) bool { return slices.Contains(scopes, scope) })
}

// KeepsAny is Keeps for whoever needs no scope.
func (g *Gate) KeepsAny(principal string) bool {
	return g.keeps(principal, func([]string) bool { return true })
}

func (g *Gate) keeps(principal string, enough func(scopes []string) bool) bool {
	name, static := strings.CutPrefix(principal, clientPrincipal)
	switch {
	case principal == Local().Principal:
		return g.Open()
	case !static:
		return g.o.Issuer != nil && g.o.Issuer.leaves.may(principal, enough, g.o.Issuer.now())
	case g.o.Clients == nil:
		return false
	}
	all, err := g.o.Clients.List()
	return err == nil && slices.ContainsFunc(all, func(c Client) bool { return c.Name == name && enough(c.Scopes) })
}

// clientPrincipal begins the principal of a static client. An issuer's begins
// with the issuer's URL.
const clientPrincipal = "client:"

// refusal is why a caller is not let in. Both texts are ours.
type refusal struct {
	reason string // for the log
	text   string // for the caller; "" where no token was sent
}

func refuse(reason, text string) *refusal { return &refusal{reason, text} }

func (r *refusal) Error() string { return "refusing a caller: " + r.reason }

func (g *Gate) admit(r *http.Request) (Caller, error) {
	token, err := bearer(r.Header)
	var none *refusal
	if errors.As(err, &none) && none.text == "" && g.Open() {
		return Local(), nil
	}
	if err != nil {
		return Caller{}, err
	}
	if g.Open() {
		// Whoever sends a token takes this server for another.
		return Caller{}, refuse("open", "this server has no clients and no issuer, so it knows no token")
	}
	return g.know(r.Context(), token)
}

// bearer returns the token of the one Authorization header (RFC 6750 §2.1). A
// token elsewhere, in the query or in the body, is not looked for.
func bearer(h http.Header) (secret.Value, error) {
	given := h.Values("Authorization")
	if len(given) == 0 {
		return secret.Value{}, refuse("none", "")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token = strings.Trim(token, " ")
	switch {
	case len(given) > 1:
		return secret.Value{}, refuse("malformed", "there is more than one Authorization header")
	case !strings.EqualFold(scheme, "Bearer"):
		return secret.Value{}, refuse("scheme", "the Authorization header is not of the scheme Bearer")
	case token == "" || len(token) > mostToken || strings.ContainsFunc(token, notOfToken):
		return secret.Value{}, refuse("malformed", "the bearer token is malformed")
	}
	return secret.New(token), nil
}

// notOfToken reports whether r cannot be in a b64token.
func notOfToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/=", r)
}

// refuse answers with 401, or with 503 where nobody can be judged now.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var why *refusal
	if !errors.As(err, &why) {
		f := fault.New(fault.Unavailable, "who is calling cannot be checked now", "call again in a moment; the server's log says why")
		f.RetryAfter = 5 * time.Second
		p := problem.Of(f, "")
		p.Title = "The caller cannot be checked"
		// The cause names hosts and statuses of the operator's own issuer, or a
		// file: no token.
		g.o.Log.Error().Str("correlation_id", p.CorrelationID).AnErr("cause", cause(err)).Msg("no caller can be checked")
		p.Write(w)
		return
	}
	text := why.text
	if text == "" {
		text = "a bearer token is needed"
	}
	p := problem.Of(fault.New(fault.CredentialsRejected, text, g.where()), "").With(http.StatusUnauthorized)
	g.o.Log.Info().Str("correlation_id", p.CorrelationID).Str("reason", why.reason).Msg("a caller was refused")
	w.Header().Set("WWW-Authenticate", g.challenge(r, why))
	p.Write(w)
}

// cause is what the log says of an error that kept us from judging.
func cause(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	return err
}

// where says how to get a token.
func (g *Gate) where() string {
	if g.o.Issuer != nil {
		return "send Authorization: Bearer with a token of this server's issuer, or one that its operator made with bankauth clients add"
	}
	return "send Authorization: Bearer with a token that this server's operator made with bankauth clients add"
}

// Require reports whether the caller of r has the scope, and answers with 403
// where not.
func (g *Gate) Require(w http.ResponseWriter, r *http.Request, scope string) bool {
	caller, ok := FromContext(r.Context())
	if ok && caller.May(scope) {
		return true
	}
	f := fault.New(fault.CredentialsRejected, "the caller lacks the scope "+scope, "use a token that has the scope "+scope)
	p := problem.Of(f, "").With(http.StatusForbidden)
	g.o.Log.Info().Str("correlation_id", p.CorrelationID).Str("reason", "scope").Str("scope", scope).Msg("a caller was refused")
	w.Header().Set("WWW-Authenticate", g.insufficient(r, caller, scope))
	p.Write(w)
	return false
}

// know finds out whose token it is.
func (g *Gate) know(ctx context.Context, token secret.Value) (Caller, error) {
	if static(token) {
		if g.o.Clients == nil {
			return Caller{}, refuse("unknown", "the token is not known here")
		}
		client, known, err := g.o.Clients.find(digest(token))
		if err != nil {
			return Caller{}, err
		}
		if !known {
			return Caller{}, refuse("unknown", "the token is not known here; its client may have been removed")
		}
		return Caller{Principal: clientPrincipal + client.Name, Scopes: client.Scopes}, nil
	}
	if g.o.Issuer == nil {
		return Caller{}, refuse("unknown", "the token is not known here")
	}
	return g.o.Issuer.judge(ctx, token)
}
