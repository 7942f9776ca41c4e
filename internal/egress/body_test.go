package egress

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A body that does not say how long it is ends at the bound all the same. (The
// simulator gives up long before.)
func TestBodyOfUnknownLength(t *testing.T) {
	for size, over := range map[int64]bool{mostBody: false, mostBody + 1: true} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", io.LimitReader(zeros{}, size))
		if err != nil {
			t.Fatal(err)
		}
		b := newBody(httptest.NewRecorder(), r)
		n, err := io.Copy(io.Discard, b)
		if b.over() != over || errors.Is(err, errTooLarge) != over || n > mostBody {
			t.Errorf("%d bytes: got %d, %v", size, n, err)
		}
	}
}
