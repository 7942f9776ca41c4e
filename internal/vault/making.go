package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Making is a user on the way to being made at a provider. Its id and password
// are on disk before the request is sent, so that a repeat of a call that was
// cut off finds the same user. It holds a lock; call one of its ends.
type Making struct {
	v       *Vault
	attempt attempt
	account Account
	hold    hold
	// Password is what the user is to have, or has; zero where none is needed.
	Password secret.Value
	// Again says that an earlier call like this one was cut off, or that
	// nobody may have heard its answer: the user may be there.
	Again bool
	// Made says that the earlier call's user is there for sure.
	Made bool
}

// NewUser says what user is to be made.
type NewUser struct {
	// Account is whose user it is; User is a proposed id, the caller's own, or
	// "" where the provider names it.
	Account
	// Call tells calls apart: two with the same text mean the same user, until
	// the first one's answer has been heard.
	Call string
	// Named says that the id is the caller's own. Of such a call there is one
	// at a time; others with the same text make a user each.
	Named bool
	// Password is what the user gets; zero where the provider takes none.
	Password secret.Value
	// Given says that the password is the caller's own, and not to be replaced
	// by one that is held already.
	Given bool
}

// mostAlike bounds the calls with the same text that make users at once.
const mostAlike = 64

// Make begins to make a user: its id and password are on disk when it returns.
// Account and Password of the answer say which ones; those of an earlier call
// that was cut off come before the proposed ones. The errors are faults:
// VaultUnavailable where nothing could be stored, and then nothing may be
// sent, and Busy while a call with the same id is under way.
func (v *Vault) Make(ctx context.Context, u NewUser, p Policy) (*Making, error) {
	p = p.filled()
	leave, err := v.ready()
	if err != nil {
		return nil, err
	}
	name, h, free, err := v.slot(u)
	if err != nil {
		leave()
		return nil, storeFault(err)
	}
	if !free {
		leave()
		return nil, fault.New(fault.Busy, "a user with this id is just being created", "wait for that call's result")
	}
	release := h.release
	h.release = func() { release(); leave() }
	m, err := v.makeUnder(ctx, h, name, u, p)
	if err != nil {
		h.release()
		return nil, storeFault(err)
	}
	return m, nil
}

// slot finds the first name for u that nobody is at, so that a repeat finds
// what was cut off.
func (v *Vault) slot(u NewUser) (string, hold, bool, error) {
	most := mostAlike
	if u.Named {
		most = 1
	}
	for n := range most {
		name := "user:" + hex.EncodeToString(v.sealer().lookup("user", u.Principal, u.Provider, u.Environment, u.Client, u.Call, strconv.Itoa(n)))
		if h, free, err := v.locks.try(name); free || err != nil {
			return name, h, free, err
		}
	}
	return "", hold{}, false, nil
}

func (v *Vault) makeUnder(ctx context.Context, h hold, name string, u NewUser, p Policy) (*Making, error) {
	at, err := v.earlier(name)
	if err != nil {
		return nil, err
	}
	m := &Making{v: v, account: u.Account, Password: u.Password, hold: h}
	if at.id != nil {
		user, err := v.openUser(name, at.ref)
		if err == nil {
			m.Again, m.Made, m.account.User = true, at.state == attemptDone, user
		} else if !errors.Is(err, errDamaged) {
			return nil, err
		}
	}
	if !m.Again {
		if at.id != nil { // its id cannot be read: the row must take the new one
			if err := v.end(name); err != nil {
				return nil, err
			}
		}
		at = attempt{}
		if at.ref, err = v.sealUser(name, u.User); err != nil {
			return nil, err
		}
	}
	at.name, at.op = name, opUser
	m.attempt = at
	if !m.Made {
		if err := v.begin(&m.attempt, p.Deadline); err != nil {
			return nil, err
		}
	}
	if m.account.User == "" || u.Password.IsZero() {
		return m, nil
	}
	if !u.Given {
		held, ok, err := v.Password(ctx, m.account)
		if err != nil {
			return nil, err
		}
		if ok {
			m.Password = held
			return m, nil
		}
	}
	// Pending: it does not push out the password of a user who is there.
	return m, v.KeepPassword(ctx, m.account, u.Password)
}

// Account says whose user it is, with the id that is to be used.
func (m *Making) Account() Account { return m.account }

// Done ends the making of a user who is there; user is its final id, "" for
// the one it was given. In the same transaction password becomes its own,
// unless it is zero.
func (m *Making) Done(user string, password secret.Value) error {
	defer m.hold.release()
	v, from, to := m.v, m.v.accountLookup(m.account), m.account
	if user != "" {
		to.User = user
	}
	lookup := v.accountLookup(to)
	err := v.insist(func(t *transaction) error {
		if !password.IsZero() {
			if err := v.putPassword(t, lookup, confirmed, encodePassword(password)); err != nil {
				return err
			}
			if err := v.audit(t, event{what: auditPasswordConfirmed, attempt: m.attempt.id}); err != nil {
				return err
			}
		}
		for _, l := range [][]byte{from, lookup} {
			if _, err := t.exec(deletePassword, l, pending); err != nil {
				return err
			}
		}
		return v.settleAttempt(t, m.attempt)
	})
	if err != nil {
		return storeFault(err)
	}
	return nil
}

// Heard says that the caller has the answer: the same call again makes another
// user, also where another process gets it at once.
func (m *Making) Heard() {
	v, name := m.v, []string{m.attempt.name}
	v.heard(m.attempt.name)
	v.settleHeard(name, v.writer.do(false, func(t *transaction) error { return v.forgetAttempts(t, name) }))
}

// Unknown ends a making of which nobody knows what became. Its id and password
// stay for the next call like this one; password, unless it is zero, is what
// the provider named before the answer broke off.
func (m *Making) Unknown(ctx context.Context, password secret.Value) error {
	defer m.hold.release()
	if password.IsZero() || m.account.User == "" {
		return nil
	}
	return m.v.KeepPassword(ctx, m.account, password)
}

// Failed ends a making that has made no user: the pending password is
// forgotten, and so is the attempt.
func (m *Making) Failed(ctx context.Context) error {
	defer m.hold.release()
	_ = m.v.end(m.attempt.name)
	return m.v.AbandonPassword(ctx, m.account)
}

const kindUser = "user"

// sealUser seals a user's id into the text that the attempt's ref holds.
func (v *Vault) sealUser(name, user string) (string, error) {
	b, err := v.sealer().fresh(kindUser, name)
	if err != nil {
		return "", err
	}
	return encodeSealed(b.key, b.seal([]byte(user), 0)), nil
}

func (v *Vault) openUser(name, text string) (string, error) {
	key, sealed, err := decodeSealed(text)
	if err != nil {
		return "", errDamaged
	}
	b, err := v.box(key, kindUser, name)
	if err != nil {
		return "", err
	}
	plain, err := b.open(sealed, 0)
	if err != nil {
		return "", errDamaged
	}
	return string(plain), nil
}
