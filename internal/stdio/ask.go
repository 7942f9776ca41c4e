package stdio

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
)

// What Ask returns where no result came.
var (
	ErrNoClient = errors.New("there is no client to ask any more")
	ErrRefused  = errors.New("the client answered with an error")
)

type loopKey struct{}

// Ask sends the client a request of ours and returns the result that it
// answers with. ctx is that of the call for whose sake it is asked. Where ctx
// ends first the client is told that its answer is not needed. Its errors are
// those of ctx, ErrNoClient, and ErrRefused: what the client says of its own
// failure is nobody's business.
func Ask(ctx context.Context, method string, params any) (json.RawMessage, error) {
	l, ok := ctx.Value(loopKey{}).(*loop)
	if !ok {
		return nil, ErrNoClient
	}
	q, ok := l.questions.put()
	if !ok {
		return nil, ErrNoClient
	}
	defer l.questions.take(q.id)
	if err := l.say(message{ID: q.id, Method: method, Params: params}); err != nil {
		return nil, err
	}
	select {
	case line := <-q.answer:
		return read(line)
	case <-l.questions.over:
		return nil, ErrNoClient
	case <-ctx.Done():
		_ = l.say(message{Method: methodCancelled, Params: cancelled{q.id, "the call is over"}}) // only texts: it cannot fail
		return nil, ctx.Err()
	}
}

// message is one of ours; without an id it is a notification.
type message struct {
	JSONRPC string `json:"jsonrpc"`
	ID      string `json:"id,omitempty"`
	Method  string `json:"method"`
	Params  any    `json:"params,omitempty"`
}

type cancelled struct {
	RequestID string `json:"requestId"`
	Reason    string `json:"reason"`
}

// say sends a message of ours, in one line.
func (l *loop) say(m message) error {
	b := l.replies.blank()
	defer l.replies.recycle(b)
	m.JSONRPC = "2.0"
	if err := b.json.Encode(m); err != nil { // it ends the line
		return err
	}
	l.out.send(b.Bytes())
	return nil
}

func read(line []byte) (json.RawMessage, error) {
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(line, &answer); err != nil || answer.Error != nil || answer.Result == nil {
		return nil, ErrRefused
	}
	return answer.Result, nil
}

// questions are our requests that the client has not answered.
type questions struct {
	over chan struct{} // closed once no answer can come

	mu   sync.Mutex
	last int
	open map[string]question
	shut bool
}

type question struct {
	id     string
	answer chan []byte // of one
}

func newQuestions() *questions {
	return &questions{over: make(chan struct{}), open: map[string]question{}}
}

// put opens a question, unless no answer could come.
func (s *questions) put() (question, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	q := question{id: "bankauth-" + strconv.Itoa(s.last), answer: make(chan []byte, 1)}
	if !s.shut {
		s.open[idKey([]byte(`"`+q.id+`"`))] = q
	}
	return q, !s.shut
}

func (s *questions) take(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, idKey([]byte(`"`+id+`"`)))
}

// answered gives the answer to whoever asked. One to a question that nobody
// asked, or that was answered, is dropped.
func (s *questions) answered(id, line []byte) {
	if id == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := idKey(id)
	if q, ok := s.open[key]; ok {
		delete(s.open, key)
		q.answer <- line
	}
}

func (s *questions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut {
		s.shut = true
		close(s.over)
	}
}
