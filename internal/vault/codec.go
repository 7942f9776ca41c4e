package vault

import (
	"encoding/base64"
	"encoding/binary"
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

// plainAnswer is what lies inside a spill file.
type plainAnswer struct {
	Ref    string      `json:"ref"`
	Record plainRecord `json:"rec"`
	Before int         `json:"bef,omitempty"`
	Own    bool        `json:"own,omitempty"`
	Name   string      `json:"nam"`
	Op     string      `json:"op"`
	ID     []byte      `json:"id"`
	Used   []byte      `json:"use,omitempty"`
}

// encode is where a token's text leaves its Value: straight into the sealer.
func encode(r *Record) ([]byte, error) {
	b, err := json.Marshal(plain(r))
	if err != nil {
		return nil, fmt.Errorf("encoding record %q: %w", r.Ref, err)
	}
	return b, nil
}

func encodeAnswer(a *answer) ([]byte, error) {
	b, err := json.Marshal(&plainAnswer{Ref: a.rec.Ref, Record: *plain(&a.rec), Before: a.before, Own: a.own,
		Name: a.attempt.name, Op: a.attempt.op, ID: a.attempt.id, Used: a.used})
	if err != nil {
		return nil, fmt.Errorf("encoding the answer for %q: %w", a.rec.Ref, err)
	}
	return b, nil
}

func decodeAnswer(b []byte) (answer, error) {
	var p plainAnswer
	if err := json.Unmarshal(b, &p); err != nil {
		return answer{}, fmt.Errorf("decoding an answer: %w", err)
	}
	return answer{rec: p.Record.record(p.Ref), before: p.Before, own: p.Own, used: p.Used,
		attempt: attempt{name: p.Name, op: p.Op, id: p.ID, ref: p.Ref}}, nil
}

func plain(r *Record) *plainRecord {
	id, t := &r.Identity, &r.Token
	return &plainRecord{
		Principal: id.Principal, Provider: id.Provider, Environment: id.Environment,
		Client: id.Client, Grant: id.Grant, Account: id.Account,
		Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(),
		Type: t.Type, Scope: t.Scope, Subject: t.Subject,
		Expiry: string(t.Expiry), ExpiresAt: millis(t.ExpiresAt), IssuedAt: millis(t.IssuedAt),
		State: string(r.State), Reason: r.Reason, Generation: r.Generation,
		Created: millis(r.Created), Updated: millis(r.Updated),
	}
}

func decode(ref string, b []byte) (Record, error) {
	var p plainRecord
	if err := json.Unmarshal(b, &p); err != nil {
		return Record{}, fmt.Errorf("decoding record %q: %w", ref, err)
	}
	return p.record(ref), nil
}

func (p *plainRecord) record(ref string) Record {
	return Record{
		Ref: ref,
		Identity: Identity{Principal: p.Principal, Provider: p.Provider, Environment: p.Environment,
			Client: p.Client, Grant: p.Grant, Account: p.Account},
		Token: token.Token{Access: secret.New(p.Access), Refresh: secret.New(p.Refresh),
			Type: p.Type, Scope: p.Scope, Subject: p.Subject,
			Expiry: token.Expiry(p.Expiry), ExpiresAt: moment(p.ExpiresAt), IssuedAt: moment(p.IssuedAt)},
		State: State(p.State), Reason: p.Reason, Generation: p.Generation,
		Created: moment(p.Created), Updated: moment(p.Updated),
	}
}

// plainNote is what lies inside a sealed note.
type plainNote struct {
	Principal string `json:"p"`
	Text      string `json:"t"`
}

func encodeNote(n *Note) ([]byte, error) {
	b, err := json.Marshal(plainNote{Principal: n.Principal, Text: n.Text.Reveal()})
	if err != nil {
		return nil, fmt.Errorf("encoding a note: %w", err)
	}
	return b, nil
}

func decodeNote(b []byte, n *Note) error {
	var p plainNote
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("decoding a note: %w", err)
	}
	n.Principal, n.Text = p.Principal, secret.New(p.Text)
	return nil
}

func encodePassword(v secret.Value) []byte { return []byte(v.Reveal()) }

// spent returns the blind index of a grant that can be spent once.
func (s *sealer) spent(id Identity, v secret.Value) []byte {
	return s.lookup("once", id.Principal, id.Provider, id.Environment, id.Client, v.Reveal())
}

// encodeSealed makes a text of a sealed one and its data key's id.
func encodeSealed(key int64, sealed []byte) string {
	return base64.RawStdEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(key)), sealed...))
}

func decodeSealed(text string) (key int64, sealed []byte, err error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(b) < 8 {
		return 0, nil, errDamaged
	}
	return int64(binary.BigEndian.Uint64(b)), b[8:], nil
}

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
