package rest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/vault"
)

const (
	answersFor = 24 * time.Hour // since the call began
	mostAnswer = 64 << 10       // bytes; a larger answer is not kept
	// claimFor is how long a call may be under way. One whose process has ended
	// is under way until then, too.
	claimFor = callDeadline + 10*time.Second
)

// errOtherQuestion says that a key came before with another request.
var errOtherQuestion = errors.New("the key belongs to another request")

// question is a request that may come again.
type question struct {
	principal, key, tool string
	args                 any
}

// answers keeps what calls with an Idempotency-Key were answered, in the vault:
// a restart does not forget it, and whoever has the vault shares it. An answer
// may hold what the exposure lets through; it lies there sealed.
type answers struct {
	vault func(context.Context) (*vault.Vault, error)
	now   func() time.Time
}

// kept is what is known of a question: that somebody is at it, or its answer.
type kept struct {
	Digest  []byte        `json:"digest"`
	Status  int           `json:"status,omitempty"` // 0: there is no answer
	Problem bool          `json:"problem,omitempty"`
	After   time.Duration `json:"after,omitempty"`
	ID      string        `json:"id,omitempty"`
	Body    []byte        `json:"body,omitempty"`
}

// get returns the answer to q: that of before, that of the call under way
// wherever it is, or that of work. The error is errOtherQuestion, a fault of
// the vault, or ctx's when it ends first.
func (a *answers) get(ctx context.Context, q question, work func() response) (answer response, replayed bool, err error) {
	v, err := a.vault(ctx)
	if err != nil {
		return response{}, false, err
	}
	name, digest, err := q.named()
	if err != nil {
		return response{}, false, err
	}
	n, found, err := v.Note(ctx, vault.NoteAnswer, q.principal, name)
	for waited := false; err == nil; {
		k := read(n)
		answered := n.State == vault.NoteSettled && k.Status != 0
		switch {
		case !found || n.Over(a.now()) && !(waited && answered):
			if !found {
				n = vault.Note{Kind: vault.NoteAnswer, Name: name, Principal: q.principal}
			}
			var mine bool
			if mine, err = a.claim(ctx, v, &n, found, digest); mine {
				return a.work(ctx, v, n, digest, work), false, nil
			} else if err == nil { // another was quicker
				n, found, err = v.Note(ctx, vault.NoteAnswer, q.principal, name)
			}
		case string(k.Digest) != string(digest):
			return response{}, false, errOtherQuestion
		case answered: // also one that is kept for nobody but those who have waited for it
			return response{status: k.Status, body: k.Body, problem: k.Problem, after: k.After, id: k.ID}, true, nil
		default:
			within, cancel := context.WithTimeout(ctx, n.Until.Sub(a.now()))
			n, found, err = v.AwaitNote(within, n)
			cancel()
			waited, err = true, errors.Join(err, ctx.Err())
		}
	}
	return response{}, false, err
}

// claim makes one of all who ask q, in whatever process, the one who works.
func (a *answers) claim(ctx context.Context, v *vault.Vault, n *vault.Note, there bool, digest []byte) (bool, error) {
	n.State, n.Until, n.Text = vault.NoteTaken, a.now().Add(claimFor), write(kept{Digest: digest})
	if there {
		return v.ChangeNote(ctx, n)
	}
	return v.AddNote(ctx, n, 0)
}

// work answers a question and keeps the answer. One that would be better later
// is over at once: only those who have waited for it get it.
func (a *answers) work(ctx context.Context, v *vault.Vault, n vault.Note, digest []byte, work func() response) (r response) {
	until := a.now().Add(answersFor)
	defer func() { // also when it panics
		k := kept{Digest: digest}
		if len(r.body) <= mostAnswer {
			k.Status, k.Problem, k.After, k.ID, k.Body = r.status, r.problem, r.after, r.id, r.body
		}
		n.State, n.Until, n.Text = vault.NoteSettled, until, write(k)
		if r.again || k.Status == 0 {
			n.Until = a.now()
		}
		// Where the store does not take it, a repeat is a call of its own.
		_, _ = v.ChangeNote(context.WithoutCancel(ctx), &n)
	}()
	return work()
}

// named returns what q is called, and a digest that says whether two requests
// are the same: white space and the order of members do not count.
func (q question) named() (name string, digest []byte, err error) {
	n, _ := json.Marshal([]string{q.principal, q.key}) // texts always encode, and apart from each other
	b, err := json.Marshal([]any{q.tool, q.args})
	if err != nil {
		return "", nil, fmt.Errorf("comparing a request: %w", err)
	}
	sum := sha256.Sum256(b)
	return string(n), sum[:], nil
}

func write(k kept) secret.Value {
	b, _ := json.Marshal(k) // it holds nothing that does not encode
	return secret.New(string(b))
}

// read is write's way back; what cannot be read is no answer.
func read(n vault.Note) (k kept) {
	_ = json.Unmarshal([]byte(n.Text.Reveal()), &k)
	return k
}
