package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// BenchmarkConversation is one stdio conversation under load: 64 calls in
// flight, three of four of them sent on to a provider on loopback. With
// -cpuprofile or -memprofile it shows where a call spends its time.
func BenchmarkConversation(b *testing.B) {
	bank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"0123456789abcdef0123456789abcdef","token_type":"Bearer","expires_in":3600,"scope":"PIS"}`)
	}))
	defer bank.Close()
	inR, inW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	environ := []string{"FINTECTURE_CLIENT_ID=id", "FINTECTURE_CLIENT_SECRET=secret", "FINTECTURE_BASE_URL=" + bank.URL,
		"BANKAUTH_DATA_DIR=" + b.TempDir() + "/data", "BANKAUTH_VAULT_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}
	ended := make(chan int, 1)
	go func() { ended <- run(context.Background(), []string{"stdio"}, environ, inR, outW, io.Discard) }()

	const callers = 64
	free := make(chan int, callers)
	for i := range callers {
		free <- i
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(outR)
		lines.Buffer(nil, 1<<20)
		for range b.N {
			if !lines.Scan() {
				return
			}
			free <- 0
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		<-free
		_, err := fmt.Fprintf(inW, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"fintecture","grant_type":"client_credentials","scope":"s%d","force":%v}}}`+"\n", i, i%callers, i%4 != 0)
		if err != nil {
			b.Fatal(err)
		}
	}
	<-read
	b.StopTimer()
	_ = inW.Close()
	if code := <-ended; code != 0 {
		b.Errorf("the server ended with %d", code)
	}
}
