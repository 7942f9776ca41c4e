package rest

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestKeptAnswersAreBounded(t *testing.T) {
	a := newAnswers()
	now := time.Now()
	a.now = func() time.Time { return now }
	calls := 0
	ask := func(principal, key, body string) bool {
		t.Helper()
		got, replayed, err := a.get(t.Context(), question{principal: principal, key: key, tool: "t"}, func() response {
			calls++
			return response{status: http.StatusOK, body: []byte(body)}
		})
		if err != nil || string(got.body) != body {
			t.Fatalf("got %q, %v", got.body, err)
		}
		return replayed
	}
	ask("quiet", "k", "canary")
	for i := range answersEach + 10 {
		ask("busy", fmt.Sprint(i), "x")
	}
	if n := a.owners["busy"].Len(); n != answersEach {
		t.Errorf("%d answers are kept for one principal", n)
	}
	if !ask("quiet", "k", "canary") {
		t.Error("one principal's many keys pushed out another's")
	}
	if ask("busy", "0", "x") {
		t.Error("the oldest is still there")
	}
	for _, k := range a.kept {
		if bytes.Contains(k.sealed, []byte("canary")) {
			t.Error("an answer is kept as it is")
		}
	}
	big := string(bytes.Repeat([]byte("x"), 1<<20))
	for i := range 40 {
		ask("large", fmt.Sprint(i), big)
	}
	if a.bytes > answerBytesInAll || a.order.Len() != len(a.kept) {
		t.Errorf("%d bytes are kept in %d of %d answers", a.bytes, a.order.Len(), len(a.kept))
	}
	ask("late", "k", "y")
	now = now.Add(answersFor - time.Second)
	if !ask("late", "k", "y") {
		t.Error("an answer was forgotten before its day had passed")
	}
	now = now.Add(time.Second)
	if ask("late", "k", "y") {
		t.Error("an answer is kept for more than a day")
	}
	if len(a.kept) != 1 || len(a.owners) != 1 || len(a.flying) != 0 {
		t.Errorf("%d answers of %d principals are kept, %d calls under way", len(a.kept), len(a.owners), len(a.flying))
	}
}
