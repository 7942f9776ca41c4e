package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"bankauth/internal/secret"
)

type verdict int

const (
	admitted verdict = iota
	wrong
	locked
	unverified
)

// person is a user of finAPI.
type person struct {
	id         string
	password   secret.Value
	email      *string
	phone      *string
	autoUpdate bool
	verified   bool
	locked     bool
	failed     int
}

// people are the users, by their id in lower case.
type people struct {
	mu   sync.Mutex
	byID map[string]*person
}

// add keeps a user, and reports false where the id is taken.
func (p *people) add(u *person) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := strings.ToLower(u.id)
	if p.byID[key] != nil {
		return false
	}
	p.byID[key] = u
	return true
}

// admit checks a log-in, and returns the user's id as it was created.
func (p *people) admit(id, password string, most int) (string, verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[strings.ToLower(id)]
	switch {
	case u == nil:
		return "", wrong
	case u.locked:
		return u.id, locked
	case !u.password.Equal(secret.New(password)):
		if u.failed++; most > 0 && u.failed >= most {
			u.locked = true
			return u.id, locked
		}
		return u.id, wrong
	case !u.verified:
		return u.id, unverified
	}
	u.failed = 0
	return u.id, admitted
}

func (p *people) get(id string) (person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[strings.ToLower(id)]
	if u == nil {
		return person{}, false
	}
	return *u, true
}

// verify reports whether the user is there, and whether it was unverified.
func (p *people) verify(id string) (found, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[strings.ToLower(id)]
	if u == nil {
		return false, false
	}
	changed = !u.verified
	u.verified = true
	return true, changed
}

// reset sets a password and unlocks, and returns the id as it was created.
func (p *people) reset(id string, password secret.Value) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[strings.ToLower(id)]
	if u == nil {
		return "", false
	}
	u.password, u.locked, u.failed = password, false, 0
	return u.id, true
}

func (p *people) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, strings.ToLower(id))
}

// userBody is what a new user may be given; every member is optional.
type userBody struct {
	ID         *string `json:"id"`
	Password   *string `json:"password"`
	Email      *string `json:"email"`
	Phone      *string `json:"phone"`
	AutoUpdate *bool   `json:"isAutoUpdateEnabled"`
}

func (f *finAPI) postUser(q *request) answer {
	if bad := f.asClient(q); bad != nil {
		return *bad
	}
	var asked userBody
	if _, err := q.parsed(mediaJSON); err == errMedia || err == errRepeats || err == errSyntax || json.Unmarshal(q.body, &asked) != nil {
		return f.error(q, http.StatusBadRequest, "BAD_REQUEST", "The body is not a JSON object of the documented kind")
	}
	if message := f.ill(asked); message != "" {
		return f.error(q, http.StatusBadRequest, "BAD_REQUEST", message)
	}
	u := &person{id: f.random.uuid(), password: secret.New(f.random.hex(16)), email: asked.Email, phone: asked.Phone,
		verified: !f.is.ManualVerification}
	if asked.ID != nil {
		u.id = *asked.ID
	}
	if asked.Password != nil {
		u.password = secret.New(*asked.Password)
	}
	if asked.AutoUpdate != nil {
		u.autoUpdate = *asked.AutoUpdate
	}
	switch {
	case f.is.Role == "admin":
		return f.denied(q)
	case u.autoUpdate && f.is.AutoUpdate == "disabled":
		return f.error(q, http.StatusUnprocessableEntity, "ILLEGAL_ENTITY_STATE", "Automatic update is disabled for the client")
	case !f.people.add(u):
		return f.error(q, http.StatusUnprocessableEntity, "ENTITY_EXISTS", "A user with this id already exists")
	}
	// The only time that the password can be seen, a made one included.
	return f.shown(http.StatusCreated, *u, u.password.Reveal())
}

func (f *finAPI) shown(status int, u person, password string) answer {
	body := map[string]any{"id": u.id, "password": password, "isAutoUpdateEnabled": u.autoUpdate}
	if u.email != nil || f.is.Version == "v1" {
		body["email"] = u.email
	}
	if u.phone != nil || f.is.Version == "v1" {
		body["phone"] = u.phone
	}
	return inJSON(status, body)
}

// ill returns what is wrong with a new user's fields, or "".
func (f *finAPI) ill(u userBody) string {
	least := 1
	if f.is.Version == "v1" {
		least = 0
	}
	switch {
	case u.ID != nil && (!within(*u.ID, 1, 36) || strings.IndexFunc(*u.ID, notID) >= 0):
		return "id: 1 to 36 of 0-9A-Za-z-_.+@"
	case u.Password != nil && !within(*u.Password, 6, 128):
		return "password: 6 to 128 characters"
	case u.Email != nil && (!within(*u.Email, least, 320) || strings.IndexFunc(*u.Email, notText) >= 0):
		return "email: at most 320 letters, digits and punctuation"
	case u.Phone != nil && (!within(*u.Phone, least, 50) || strings.IndexFunc(*u.Phone, notText) >= 0):
		return "phone: at most 50 letters, digits and punctuation"
	}
	return ""
}

const idLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.+@"

func notID(r rune) bool { return !strings.ContainsRune(idLetters, r) }

func notText(r rune) bool { return unicode.IsControl(r) }

func within(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most
}

func (f *finAPI) getUser(q *request) answer {
	id, bad := f.asUser(q)
	if bad != nil {
		return *bad
	}
	u, ok := f.people.get(id)
	if !ok {
		return f.unknownToken(q)
	}
	return f.shown(http.StatusOK, u, "XXXXX")
}

func (f *finAPI) deleteUser(q *request) answer {
	id, bad := f.asUser(q)
	if bad != nil {
		return *bad
	}
	f.people.remove(id)
	f.ledger.endUser(id)
	return answer{status: http.StatusOK}
}

func (f *finAPI) verifyUser(q *request) answer {
	if bad := f.asClient(q); bad != nil {
		return *bad
	}
	switch found, changed := f.people.verify(q.PathValue("userId")); {
	case !found:
		return f.error(q, http.StatusNotFound, "UNKNOWN_ENTITY", "The user is unknown")
	case !changed:
		return f.error(q, http.StatusUnprocessableEntity, "USER_ALREADY_VERIFIED", "The user is verified already")
	}
	return answer{status: http.StatusOK}
}
