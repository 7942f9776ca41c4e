package stdio_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"bankauth/internal/stdio"
)

// BenchmarkServe is the loop's own cost: its handler does nothing, or waits.
func BenchmarkServe(b *testing.B) {
	for _, wait := range []time.Duration{0, 5 * time.Millisecond} {
		b.Run(fmt.Sprint("handler takes ", wait), func(b *testing.B) { serve(b, 256, wait) })
	}
}

func serve(b *testing.B, callers int, wait time.Duration) {
	inR, inW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	result := json.RawMessage(`{"content":[{"type":"text","text":"{}"}],"structuredContent":{}}`)
	s := &stdio.Server{Handle: func(context.Context, stdio.Message) stdio.Reply {
		if wait > 0 {
			time.Sleep(wait)
		}
		return stdio.Reply{Result: result}
	}}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(b.Context(), inR, outW); _ = outW.Close() }()
	b.ReportAllocs()
	b.ResetTimer()
	var pending []byte
	n := 0
	next := func() {
		pending = fmt.Appendf(pending, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"fintecture","grant_type":"client_credentials"}}}`+"\n", n)
		n++
	}
	for range min(callers, b.N) {
		next()
	}
	out := bufio.NewReaderSize(outR, 256<<10)
	for range b.N {
		if out.Buffered() == 0 {
			_, _ = inW.Write(pending)
			pending = pending[:0]
		}
		if _, err := out.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
		if n < b.N {
			next()
		}
	}
	_ = inW.Close()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	_ = outR.Close()
}
