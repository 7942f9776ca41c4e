package main

import (
	"io"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"bankauth/internal/config"
	"bankauth/internal/secret"
)

// A start without flags gives the command what kong gives it; what kong
// refuses is left to kong.
func TestStartedAsByKong(t *testing.T) {
	environments := [][]string{nil}
	for _, name := range config.Variables([]string{"finapi"}) {
		for _, value := range []string{"true", "No", "flinks", "finapi,flinks", " finapi, flinks,", `a\,b`, "Token", "DEBUG", "json", "0", "127.0.0.1:8722", "${X}", "x"} {
			environments = append(environments, []string{name + "=" + value})
		}
	}
	filled := 0
	for _, environ := range environments {
		p := &process{env: config.Read(environ, "linux"), out: io.Discard, err: io.Discard}
		var whole struct {
			Stdio stdioCommand `cmd:""`
		}
		k, err := kong.New(&whole, p.env.Kong())
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Parse([]string{"stdio"})
		got, ok := p.started([]string{"stdio"})
		if ok && err != nil {
			t.Errorf("%q: started, where kong says %v", environ, err)
		}
		if !ok {
			continue
		}
		filled++
		if diff := cmp.Diff(&whole.Stdio, got, cmp.AllowUnexported(stdioCommand{}, besideFlags{}), cmp.Comparer(func(a, b secret.Value) bool { return a.IsZero() == b.IsZero() })); diff != "" {
			t.Errorf("%q: kong -, started +\n%s", environ, diff)
		}
	}
	if filled < len(environments)*9/10 {
		t.Errorf("%d of %d environments were left to kong", len(environments)-filled, len(environments))
	}
	for _, args := range [][]string{nil, {"serve"}, {"stdio", "--simulate"}, {"stdio", "--help"}, {"stdio", "x"}} {
		p := &process{env: config.Read(nil, "linux")}
		if _, ok := p.started(args); ok {
			t.Errorf("%q: started", args)
		}
	}
}
