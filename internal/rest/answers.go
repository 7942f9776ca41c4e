package rest

import (
	"container/list"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long answers are kept for a repeated Idempotency-Key, and how many.
const (
	answersFor       = 24 * time.Hour
	answersEach      = 4096 // of one principal; the oldest goes
	answersInAll     = 16384
	answerBytesInAll = 16 << 20
)

// errOtherQuestion says that a key came before with another request.
var errOtherQuestion = errors.New("the key belongs to another request")

// errNoAnswer says that the call whose answer was to be shared has none.
var errNoAnswer = errors.New("the call under way broke off")

// question is a request that may come again.
type question struct {
	principal, key, tool string
	args                 any
}

// answers keeps what calls with an Idempotency-Key were answered, in memory:
// a restart forgets it, and replicas do not share it. An answer may hold what
// the exposure lets through, so each is sealed under a key that is derived
// from its Idempotency-Key, which is not kept.
type answers struct {
	now  func() time.Time
	salt []byte

	mu     sync.Mutex
	flying map[[32]byte]*flight
	kept   map[[32]byte]*kept
	order  *list.List            // of *kept, oldest first
	owners map[string]*list.List // the same, by principal
	bytes  int
}

// flight is a call under way; done is closed when answer is there.
type flight struct {
	digest [32]byte
	done   chan struct{}
	answer response
}

// kept is an answer of the past.
type kept struct {
	id, digest [32]byte
	principal  string
	until      time.Time
	sealed     []byte

	inAll, ofOwner *list.Element
}

func newAnswers() *answers {
	a := &answers{now: time.Now, salt: make([]byte, 32), flying: map[[32]byte]*flight{}, kept: map[[32]byte]*kept{}, order: list.New(), owners: map[string]*list.List{}}
	_, _ = rand.Read(a.salt) // never fails
	return a
}

// get returns the answer to q: that of before, that of the call under way, or
// that of work. The error is errOtherQuestion, or ctx's when it ends first.
func (a *answers) get(ctx context.Context, q question, work func() response) (answer response, replayed bool, err error) {
	id := a.mac("id", q.principal, q.key)
	digest, err := q.digest()
	if err != nil {
		return response{}, false, err
	}
	a.mu.Lock()
	a.expire()
	if k := a.kept[id]; k != nil {
		defer a.mu.Unlock()
		if k.digest != digest {
			return response{}, false, errOtherQuestion
		}
		answer, err := a.open(k, q)
		return answer, true, err
	}
	if f := a.flying[id]; f != nil {
		a.mu.Unlock()
		if f.digest != digest {
			return response{}, false, errOtherQuestion
		}
		select {
		case <-f.done:
			if f.answer.status == 0 {
				return response{}, false, errNoAnswer
			}
			return f.answer, true, nil
		case <-ctx.Done():
			return response{}, false, ctx.Err()
		}
	}
	f := &flight{digest: digest, done: make(chan struct{})}
	a.flying[id] = f
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if f.answer.lasting() {
			a.keep(&kept{id: id, digest: digest, principal: q.principal, until: a.now().Add(answersFor), sealed: a.seal(q, f.answer)})
		}
		delete(a.flying, id)
		close(f.done)
	}()
	f.answer = work()
	return f.answer, false, nil
}

// lasting reports whether the same request would not be answered better later.
func (r response) lasting() bool {
	return r.status != 0 && !r.again
}

// digest says whether two requests are the same: white space and the order of
// members do not count.
func (q question) digest() ([32]byte, error) {
	b, err := json.Marshal([]any{q.tool, q.args})
	if err != nil {
		return [32]byte{}, fmt.Errorf("comparing a request: %w", err)
	}
	return sha256.Sum256(b), nil
}

func (a *answers) mac(parts ...string) [32]byte {
	b, _ := json.Marshal(parts) // texts always encode, and apart from each other
	m := hmac.New(sha256.New, a.salt)
	_, _ = m.Write(b)
	return [32]byte(m.Sum(nil))
}

// box is what opens and seals q's answer.
func (a *answers) box(q question) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(q.key), a.salt, q.principal, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealedAnswer is a response in its box.
type sealedAnswer struct {
	Status  int    `json:"status"`
	Problem bool   `json:"problem"`
	ID      string `json:"id"`
	Body    []byte `json:"body"`
}

func (a *answers) seal(q question, r response) []byte {
	plain, err := json.Marshal(sealedAnswer{Status: r.status, Problem: r.problem, ID: r.id, Body: r.body})
	if err != nil {
		return nil
	}
	box, err := a.box(q)
	if err != nil {
		return nil
	}
	return box.Seal(nil, nil, plain, nil)
}

func (a *answers) open(k *kept, q question) (response, error) {
	box, err := a.box(q)
	if err != nil {
		return response{}, err
	}
	plain, err := box.Open(nil, nil, k.sealed, nil)
	if err != nil {
		return response{}, fmt.Errorf("opening a kept answer: %w", err)
	}
	var s sealedAnswer
	if err := json.Unmarshal(plain, &s); err != nil {
		return response{}, fmt.Errorf("reading a kept answer: %w", err)
	}
	return response{status: s.Status, body: s.Body, problem: s.Problem, id: s.ID}, nil
}

// keep adds k, and drops the oldest where there are too many.
func (a *answers) keep(k *kept) {
	if k.sealed == nil || len(k.sealed) > answerBytesInAll {
		return
	}
	owner := a.owners[k.principal]
	if owner == nil {
		owner = list.New()
		a.owners[k.principal] = owner
	}
	a.kept[k.id], k.inAll, k.ofOwner = k, a.order.PushBack(k), owner.PushBack(k)
	a.bytes += len(k.sealed)
	if owner.Len() > answersEach {
		a.drop(owner.Front().Value.(*kept))
	}
	for a.order.Len() > answersInAll || a.bytes > answerBytesInAll {
		a.drop(a.order.Front().Value.(*kept))
	}
}

// expire drops what is too old; all are kept equally long.
func (a *answers) expire() {
	for e := a.order.Front(); e != nil && !a.now().Before(e.Value.(*kept).until); e = a.order.Front() {
		a.drop(e.Value.(*kept))
	}
}

func (a *answers) drop(k *kept) {
	delete(a.kept, k.id)
	a.order.Remove(k.inAll)
	owner := a.owners[k.principal]
	owner.Remove(k.ofOwner)
	if owner.Len() == 0 {
		delete(a.owners, k.principal)
	}
	a.bytes -= len(k.sealed)
}
