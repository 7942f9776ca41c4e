package stdio_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"bankauth/internal/stdio"
)

func TestEndOfContextInterruptsTheRead(t *testing.T) {
	file, fileEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer fileEnd.Close()
	pipe, pipeEnd := io.Pipe()
	for _, in := range []io.Reader{file, pipe} {
		ctx, stop := context.WithCancel(t.Context())
		s := &stdio.Server{Handle: tools(t)}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx, in, io.Discard) }()
		time.Sleep(10 * time.Millisecond) // until it reads
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	// Nobody else is let in either; the leak test tells of a Read that stays.
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading the file says %v", err)
	}
	if _, err := pipeEnd.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing to the pipe says %v", err)
	}
}

func TestSubscriptionEndsWithInput(t *testing.T) {
	c := start(t, &stdio.Server{Handle: func(ctx context.Context, m stdio.Message) stdio.Reply {
		select {
		case <-ctx.Done():
			return stdio.Reply{Result: "ended"}
		case <-time.After(200 * time.Millisecond):
			return stdio.Reply{Result: "finished"}
		}
	}})
	c.send(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}`, call("2", "any", ""))
	_ = c.in.Close()
	got := c.rest()
	if len(got) != 2 || !strings.Contains(got[0], `"id":1,"result":"ended"`) || !strings.Contains(got[1], `"id":2,"result":"finished"`) {
		t.Errorf("got %q", got)
	}
}
