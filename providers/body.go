package providers

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"bankauth/internal/secret"
	"bankauth/schema"
)

// part is one name and value of a body: a secret, or a text with the type
// that it has in JSON. Fixed texts may mix plain text and secrets.
type part struct {
	name   string
	kind   string // string, integer, number or boolean
	text   string
	secret secret.Value
	held   bool // the value is the secret, shown as secret.Mask
}

// fill writes the body: the fields in the operation's order, then the fixed
// texts that no field has.
func (m *message) fill(c *Client, call *Call, id, key secret.Value) error {
	gp := m.plan.grants[call.Grant.Name]
	w := writer{form: m.plan.op.Media == schema.MediaForm, masked: m.masked}
	w.buf = make([]byte, 0, 256)
	w.open()
	for i := range m.plan.op.Fields {
		f := &m.plan.op.Fields[i]
		p, ok := m.value(call, f, id, key)
		if !ok {
			if gp.required[f.Argument] && !m.masked {
				return broken(c.provider, "operation "+m.plan.op.ID+" was called without "+f.Argument)
			}
			continue
		}
		w.part(p)
	}
	for _, name := range gp.extra {
		w.part(fixed(name, "string", call.Grant.Fixed[name], id, key))
	}
	w.end()
	m.body = w.buf
	return nil
}

// value finds what a field is to carry in this call, or nothing. An argument
// stands before a fixed text: the checks let one pass only where a grant has
// both, and then the fixed text is what is meant when no argument is given.
func (m *message) value(call *Call, f *schema.Field, id, key secret.Value) (part, bool) {
	if f.Argument == authorizationCode && !call.Code.IsZero() {
		return part{name: f.Name, kind: f.Type, secret: call.Code, held: true}, true
	}
	if f.Held == "" {
		if a, ok := call.Arguments[f.Argument]; ok && a != nil {
			text, ok := argument(a)
			if ok && (f.Secret || f.Argument == authorizationCode) {
				return part{name: f.Name, kind: f.Type, secret: secret.New(text), held: true}, true
			}
			return part{name: f.Name, kind: f.Type, text: text}, ok
		}
	}
	if text, ok := call.Grant.Fixed[f.Name]; ok {
		return fixed(f.Name, f.Type, text, id, key), true
	}
	if f.Name == "grant_type" && call.Grant.Name != "" {
		return part{name: f.Name, kind: "string", text: call.Grant.Name}, true
	}
	held := part{name: f.Name, kind: "string", held: true}
	switch f.Held {
	case schema.HeldClientID, schema.HeldClientSecret:
		held.secret = id
		if f.Held == schema.HeldClientSecret {
			held.secret = key
		}
		return held, m.plan.op.Auth.Style == schema.AuthBody
	case schema.HeldPassword:
		held.secret = call.Password
	case schema.HeldRefreshToken:
		held.secret = call.RefreshToken
	case schema.HeldCodeVerifier:
		held.secret = call.CodeVerifier
	case schema.HeldToken:
		held.secret = call.Token
	default:
		return part{}, false
	}
	asked := m.masked && slices.Contains(call.Grant.Required, f.Argument)
	return held, asked || !held.secret.IsZero()
}

// fixed fills the credentials into a fixed text.
func fixed(name, kind, text string, id, key secret.Value) part {
	if !strings.Contains(text, "{client_id}") && !strings.Contains(text, "{client_secret}") {
		return part{name: name, kind: kind, text: text}
	}
	full := reveal(id)
	if text != "{client_id}" {
		full = strings.NewReplacer("{client_id}", full, "{client_secret}", reveal(key)).Replace(text)
	}
	return part{name: name, kind: "string", secret: secret.New(full), held: true}
}

// argument returns a checked argument as text.
func argument(a any) (string, bool) {
	switch v := a.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case json.Number:
		return v.String(), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	}
	return "", false
}

// writer writes a body as a form (RFC 6749 appendix B) or as a JSON object.
type writer struct {
	buf          []byte
	form, masked bool
	some         bool
}

func (w *writer) open() {
	if !w.form {
		w.buf = append(w.buf, '{')
	}
}

func (w *writer) end() {
	if !w.form {
		w.buf = append(w.buf, '}')
	}
}

func (w *writer) part(p part) {
	if w.some {
		if w.form {
			w.buf = append(w.buf, '&')
		} else {
			w.buf = append(w.buf, ',')
		}
	}
	w.some = true
	text := p.text
	if p.held && !w.masked {
		text = reveal(p.secret)
	}
	if w.form {
		w.buf = append(appendForm(w.buf, p.name), '=')
		if p.held && w.masked {
			// Left unescaped: it is read by a person, not sent.
			w.buf = append(w.buf, secret.Mask...)
			return
		}
		w.buf = appendForm(w.buf, text)
		return
	}
	w.buf = append(appendJSON(w.buf, p.name), ':')
	switch {
	case p.held && w.masked:
		w.buf = appendJSON(w.buf, secret.Mask)
	case p.kind != "string" && p.kind != "" && json.Valid([]byte(text)):
		w.buf = append(w.buf, text...)
	default:
		w.buf = appendJSON(w.buf, text)
	}
}

const hexDigits = "0123456789ABCDEF"

// appendForm escapes s as application/x-www-form-urlencoded asks.
func appendForm(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendJSON quotes s and escapes nothing that RFC 8259 lets stand.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
