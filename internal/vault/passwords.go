package vault

import (
	"context"
	"errors"
	"fmt"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Account says whose password is kept.
type Account struct{ Principal, Provider, Environment, Client, User string }

// The states of a password. One of each may be kept for an account, so that a
// new one on trial does not push out one that works.
const (
	pending   = "pending"
	confirmed = "confirmed"
)

const kindPassword = "password"

// KeepPassword keeps password as pending, on disk before it returns: store it
// so before the provider is asked to make the user, then confirm or abandon.
func (v *Vault) KeepPassword(ctx context.Context, a Account, password secret.Value) error {
	if password.IsZero() {
		return fault.New(fault.Internal, "an empty password cannot be kept", "report this with the correlation id")
	}
	return v.passwords(ctx, a, auditPasswordKept, func(tx *transaction, lookup []byte) (bool, error) {
		return true, v.putPassword(tx, lookup, pending, encodePassword(password))
	})
}

// ConfirmPassword makes the pending password the account's own. Without a
// pending one nothing happens.
func (v *Vault) ConfirmPassword(ctx context.Context, a Account) error {
	return v.passwords(ctx, a, auditPasswordConfirmed, func(tx *transaction, lookup []byte) (bool, error) {
		plain, found, err := v.readPassword(tx, lookup, pending)
		if err != nil || !found {
			return false, err
		}
		if err := v.putPassword(tx, lookup, confirmed, plain); err != nil {
			return false, err
		}
		_, err = tx.exec(deletePassword, lookup, pending)
		return true, err
	})
}

// AbandonPassword forgets the pending password only.
func (v *Vault) AbandonPassword(ctx context.Context, a Account) error {
	return v.passwords(ctx, a, auditPasswordAbandoned, func(tx *transaction, lookup []byte) (bool, error) {
		n, err := tx.exec(deletePassword, lookup, pending)
		return n > 0, err
	})
}

// ForgetPassword forgets all that is kept for a.
func (v *Vault) ForgetPassword(ctx context.Context, a Account) error {
	return v.passwords(ctx, a, auditPasswordForgotten, func(tx *transaction, lookup []byte) (bool, error) {
		n, err := tx.exec(deletePasswords, lookup)
		return n > 0, err
	})
}

// Password returns a's confirmed password, else the pending one, and whether
// there is any.
func (v *Vault) Password(ctx context.Context, a Account) (secret.Value, bool, error) {
	if err := ctx.Err(); err != nil {
		return secret.Value{}, false, err
	}
	leave, err := v.ready()
	if err != nil {
		return secret.Value{}, false, err
	}
	defer leave()
	lookup := v.accountLookup(a)
	for _, state := range []string{confirmed, pending} {
		plain, found, err := v.readPassword(v.reader, lookup, state)
		if err != nil {
			return secret.Value{}, false, storeFault(err)
		}
		if found {
			return secret.New(string(plain)), true, nil
		}
	}
	return secret.Value{}, false, nil
}

// passwords runs a change, which reports whether it has changed anything.
func (v *Vault) passwords(ctx context.Context, a Account, what string, run func(tx *transaction, lookup []byte) (bool, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	leave, err := v.ready()
	if err != nil {
		return err
	}
	defer leave()
	lookup := v.accountLookup(a)
	err = v.writer.do(true, func(tx *transaction) error {
		changed, err := run(tx, lookup)
		if err != nil || !changed {
			return err
		}
		return v.audit(tx, event{what: what})
	})
	if err != nil {
		return storeFault(err)
	}
	return nil
}

func (v *Vault) accountLookup(a Account) []byte {
	return v.sealer().lookup("account", a.Principal, a.Provider, a.Environment, a.Client, a.User)
}

// passwordName binds a sealed password to its account and state.
func passwordName(lookup []byte, state string) string { return string(joined(state, string(lookup))) }

func (v *Vault) putPassword(tx *transaction, lookup []byte, state string, plain []byte) error {
	b, err := v.sealer().fresh(kindPassword, passwordName(lookup, state))
	if err != nil {
		return err
	}
	seq, _, err := number(tx, selectPasswordSeq, lookup, state)
	if err != nil {
		return err
	}
	_, err = tx.exec(upsertPassword, lookup, state, b.key, seq+1, millis(v.now()), b.seal(plain, seq+1))
	return err
}

func (v *Vault) readPassword(q querier, lookup []byte, state string) ([]byte, bool, error) {
	rows, err := q.query(selectPassword, lookup, state)
	if err != nil {
		return nil, false, fmt.Errorf("reading a password: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, false, rows.Err()
	}
	var key, seq int64
	var sealed []byte
	if err := rows.Scan(&key, &seq, &sealed); err != nil {
		return nil, false, fmt.Errorf("reading a password: %w", err)
	}
	b, err := v.box(key, kindPassword, passwordName(lookup, state))
	if errors.Is(err, errDamaged) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	plain, err := b.open(sealed, seq)
	if err != nil {
		return nil, false, nil // damaged: as good as not kept, and the bytes stay
	}
	return plain, true, nil
}
