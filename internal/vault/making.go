package vault

import (
	"context"
	"encoding/hex"
	"errors"

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
	// Again says that an earlier call like this one was cut off, or that
	// nobody may have heard its answer: the user may be there.
	Again bool
	// Made says that the earlier call's user is there for sure.
	Made bool
}

// Make begins to make a user. a.User is the proposed id, or the caller's own.
// call tells calls apart: two with the same text mean the same user until the
// first one's answer has been heard, and the earlier one's id is then in
// Account().User. password is kept as pending, unless one is held already for
// the account; Password() says which one it is. The errors are faults:
// VaultUnavailable where nothing could be stored, and then nothing may be
// sent, and Busy while a call like this one is under way.
func (v *Vault) Make(ctx context.Context, a Account, call string, p Policy, password secret.Value) (m *Making, held secret.Value, err error) {
	p = p.filled()
	leave, err := v.ready()
	if err != nil {
		return nil, secret.Value{}, err
	}
	name := "user:" + hex.EncodeToString(v.sealer().lookup("user", a.Principal, a.Provider, a.Environment, a.Client, call))
	h, free := v.locks.try(name)
	if !free {
		leave()
		return nil, secret.Value{}, fault.New(fault.Busy, "a user like this one is just being created", "wait for that call's result")
	}
	release := h.release
	h.release = func() { release(); leave() }
	m, held, err = v.makeUnder(ctx, h, name, a, p, password)
	if err != nil {
		h.release()
		return nil, secret.Value{}, storeFault(err)
	}
	return m, held, nil
}

func (v *Vault) makeUnder(ctx context.Context, h hold, name string, a Account, p Policy, password secret.Value) (*Making, secret.Value, error) {
	at, err := findAttempt(v.reader, name)
	if err != nil {
		return nil, secret.Value{}, err
	}
	m := &Making{v: v, account: a, hold: h}
	if at.id != nil && v.now().Before(at.until.Add(unheardFor)) {
		user, err := v.openUser(name, at.ref)
		if err == nil {
			m.Again, m.Made, m.account.User = true, at.state == attemptDone, user
		} else if !errors.Is(err, errDamaged) {
			return nil, secret.Value{}, err
		}
	}
	at.name, at.op, at.rotation = name, opUser, p.Rotation
	if !m.Again {
		if at.ref, err = v.sealUser(name, a.User); err != nil {
			return nil, secret.Value{}, err
		}
		at.since = v.now()
		v.end(name) // so that the row takes the new id
	}
	m.attempt = at
	if m.Made {
		held, _, err := v.Password(ctx, m.account)
		return m, held, err
	}
	if err := v.begin(&m.attempt, p.Deadline); err != nil {
		return nil, secret.Value{}, err
	}
	held, ok, err := v.Password(ctx, m.account)
	if err != nil || ok || password.IsZero() {
		return m, held, err
	}
	return m, password, v.KeepPassword(ctx, m.account, password)
}

// Account says whose user it is, with the id that is to be used.
func (m *Making) Account() Account { return m.account }

// Done ends the making of a user who is there; user is its final id. The
// pending password becomes its own in the same transaction, or password where
// the provider has named another.
func (m *Making) Done(user string, password secret.Value) error {
	defer m.hold.release()
	v, from, to := m.v, m.v.accountLookup(m.account), m.account
	if user != "" {
		to.User = user
	}
	lookup := v.accountLookup(to)
	err := v.insist(func(t *transaction) error {
		plain, found := encodePassword(password), !password.IsZero()
		if !found {
			var err error
			if plain, found, err = v.readPassword(t, from, pending); err != nil {
				return err
			}
		}
		if found {
			if err := v.writePassword(t, to, lookup, confirmed, plain); err != nil {
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
// user.
func (m *Making) Heard() { m.v.heard(m.attempt.name) }

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
	m.v.end(m.attempt.name)
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
