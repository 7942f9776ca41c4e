package vault

import (
	"encoding/json"
	"fmt"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/token"
)

// plainRecord is what lies inside a sealed record. The names are short because
// they are stored with each record, and never reused for another meaning.
type plainRecord struct {
	Principal   string `json:"p"`
	Provider    string `json:"v"`
	Environment string `json:"e"`
	Client      string `json:"c"`
	Grant       string `json:"g"`
	Account     string `json:"a,omitempty"`

	Access    string `json:"at"`
	Refresh   string `json:"rt,omitempty"`
	Type      string `json:"ty,omitempty"`
	Scope     string `json:"sc,omitempty"`
	Subject   string `json:"su,omitempty"`
	Expiry    string `json:"ex,omitempty"`
	ExpiresAt int64  `json:"xa,omitempty"` // Unix milliseconds, as all times here
	IssuedAt  int64  `json:"ia,omitempty"`

	State      string `json:"st"`
	Reason     string `json:"re,omitempty"`
	Generation int    `json:"gn"`
	Created    int64  `json:"cr"`
	Updated    int64  `json:"up"`
}

// encode is where a token's text leaves its Value: straight into the sealer.
func encode(r *Record) ([]byte, error) {
	id, t := &r.Identity, &r.Token
	b, err := json.Marshal(&plainRecord{
		Principal: id.Principal, Provider: id.Provider, Environment: id.Environment,
		Client: id.Client, Grant: id.Grant, Account: id.Account,
		Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(),
		Type: t.Type, Scope: t.Scope, Subject: t.Subject,
		Expiry: string(t.Expiry), ExpiresAt: millis(t.ExpiresAt), IssuedAt: millis(t.IssuedAt),
		State: string(r.State), Reason: r.Reason, Generation: r.Generation,
		Created: millis(r.Created), Updated: millis(r.Updated),
	})
	if err != nil {
		return nil, fmt.Errorf("encoding record %q: %w", r.Ref, err)
	}
	return b, nil
}

func decode(ref string, b []byte) (Record, error) {
	var p plainRecord
	if err := json.Unmarshal(b, &p); err != nil {
		return Record{}, fmt.Errorf("decoding record %q: %w", ref, err)
	}
	return Record{
		Ref: ref,
		Identity: Identity{Principal: p.Principal, Provider: p.Provider, Environment: p.Environment,
			Client: p.Client, Grant: p.Grant, Account: p.Account},
		Token: token.Token{Access: secret.New(p.Access), Refresh: secret.New(p.Refresh),
			Type: p.Type, Scope: p.Scope, Subject: p.Subject,
			Expiry: token.Expiry(p.Expiry), ExpiresAt: moment(p.ExpiresAt), IssuedAt: moment(p.IssuedAt)},
		State: State(p.State), Reason: p.Reason, Generation: p.Generation,
		Created: moment(p.Created), Updated: moment(p.Updated),
	}, nil
}

func encodePassword(v secret.Value) []byte { return []byte(v.Reveal()) }

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
