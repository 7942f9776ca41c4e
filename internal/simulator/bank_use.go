package simulator

import (
	"context"
	"net"
	"time"

	"bankauth/internal/secret"
)

// URL returns the base URL, with no slash at its end.
func (b *Bank) URL() string { return "http://" + b.listener.Addr().String() }

// Port returns the port that the bank listens on.
func (b *Bank) Port() int { return b.listener.Addr().(*net.TCPAddr).Port }

// ClientID returns the one client's id; Fintecture calls it app_id.
func (b *Bank) ClientID() string { return b.client.ID }

// ClientSecret returns the one client's secret.
func (b *Bank) ClientSecret() secret.Value { return b.client.Secret }

// SetFault adds a fault behind the ones already set.
func (b *Bank) SetFault(f Fault) { b.faults.add(f) }

// Faults returns what still waits to befall.
func (b *Bank) Faults() []Fault { return b.faults.waiting() }

// ClearFaults removes every fault and the delays.
func (b *Bank) ClearFaults() { b.faults.clear() }

// SetDelay holds every request back: before the bank carries it out, and
// before it answers. 0 ends it. A fault's delays come on top.
func (b *Bank) SetDelay(before, after time.Duration) {
	b.faults.before.Store(int64(before))
	b.faults.after.Store(int64(after))
}

// Alive reports whether an access or refresh token would be accepted now.
func (b *Bank) Alive(token string) bool { return b.ledger.alive(token) }

// Revoke ends the grant that an access or refresh token belongs to, as when
// the user withdraws the consent at the bank. It reports whether it was known.
func (b *Bank) Revoke(token string) bool { return b.ledger.end(token, false) }

// ResetPassword gives a user of finAPI a new password, as its password change
// does: the user is unlocked and every token of theirs dies. It reports whether
// there is such a user.
func (b *Bank) ResetPassword(user string, password secret.Value) bool {
	f, ok := b.api.(*finAPI)
	if !ok {
		return false
	}
	id, ok := f.people.reset(user, password)
	if ok {
		b.ledger.endUser(id)
	}
	return ok
}

// Code plays the user's browser: it opens the authorize page, reads the form,
// presses the button that grants, and returns the code of the redirect. Each
// call is another user. scope may be empty. finAPI has no such page.
func (b *Bank) Code(ctx context.Context, redirectURI, scope string) (string, error) {
	return b.CodeFor(ctx, "", redirectURI, scope)
}

// CodeFor is Code for the user with the given name; "" is a new one.
func (b *Bank) CodeFor(ctx context.Context, user, redirectURI, scope string) (string, error) {
	return b.visit(ctx, visit{user: user, redirectURI: redirectURI, scope: scope})
}
