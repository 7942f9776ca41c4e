package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badCalls are calls with a secret where none belongs.
func badCalls(s func(what string) string) []ask {
	var all []ask
	for _, tool := range []string{"create_access_token", "refresh_token", "create_user"} {
		for _, provider := range []string{"fintecture", "flinks", "finapi", ""} {
			for _, name := range []string{"client_id", "client_secret", "password", "refresh_token", "access_token", "code", "scope", "redirect_uri", "username",
				"id", "email", "phone", "isAutoUpdateEnabled", "force", "token_ref", "consent_ref", "institution", "grant_type", "provider", "api_key", "tokenref"} {
				for _, grant := range []string{"client_credentials", "authorization_code", "password", "refresh_token", ""} {
					args := map[string]any{"provider": provider, "grant_type": grant, name: s(name)}
					if tool != "create_access_token" {
						delete(args, "grant_type")
					}
					all = append(all, ask{tool, args})
					if tool != "create_access_token" {
						break
					}
				}
			}
		}
		for _, value := range []any{map[string]any{"value": s("secret")}, []any{s("secret")}, s("secret") + "\n", " " + s("secret"), 4711} {
			all = append(all, ask{tool, map[string]any{"provider": value, "grant_type": "password", "token_ref": value}},
				ask{tool, map[string]any{"provider": "finapi", "grant_type": value, "username": value, "email": value}},
				ask{tool, map[string]any{"provider": "flinks", "grant_type": "authorization_code", "code": value, "redirect_uri": value, "force": value}})
		}
	}
	return all
}

// TestCanaryBadCalls gives secrets in every wrong argument, and checks that no
// answer repeats one. What must be asked of a provider is asked of one that
// refuses everything.
func TestCanaryBadCalls(t *testing.T) {
	w := newWatch(t)
	far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
	far.behave(manners()["400 JSON"])
	s := w.talk(t, append(far.env, kept.env()...))
	asks := badCalls(w.secrets.issue)
	for len(asks) > 0 {
		n := min(64, len(asks))
		s.all(t, asks[:n]...)
		asks = asks[n:]
	}
	w.folder(t, kept.dir)
	s.end(t)
	w.folder(t, kept.dir)
	if w.calls < 400 {
		t.Errorf("only %d calls", w.calls)
	}
	w.search(t)
}

// lines are messages that are wrong; each %s becomes a secret.
var lines = []string{
	`%s`, `"%s"`, `["%s"]`, `{"%s":"%s"}`, `{"jsonrpc":"%s","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":{"a":"%s"},"method":"ping"}`,
	`{"jsonrpc":"2.0","id":1,"method":"%s"}`, `{"jsonrpc":"2.0","id":1,"method":"tools/%s"}`, `{"jsonrpc":"2.0","id":1,"method":["%s"]}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"%s"}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["%s"]}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s"}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":{"a":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refresh_token","arguments":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refresh_token","arguments":["%s"]}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refresh_token","arguments":"{\"token_ref\":\"%s\"}"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refresh_token","arguments":"{\"token_ref\":%s}"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refresh_token","_meta":{"progressToken":{"a":"%s"}}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"%s","clientInfo":{"name":"%s","version":"%s"},"capabilities":{"%s":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":{"a":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"%s"}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{"cursor":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"bankauth://providers/%s"}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":["%s"]}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"bankauth://tokens/%s"}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"bankauth://providers/%s/document"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"connect_bank","arguments":{"provider":"%s"}}}`, `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"connect_bank","arguments":{"provider":["%s"]}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"connect_bank"},"argument":{"name":"scope","value":"%s "},"context":{"arguments":{"provider":"%s"}}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"bankauth://tokens/{token_ref}"},"argument":{"name":"token_ref","value":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"%s"},"argument":{"name":"token_ref","value":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"flinks","grant_type":"authorization_code"},"requestState":"%s","inputResponses":{"consent":{"action":"%s"}}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"%s"}}`, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"%s"},"argument":{"name":"%s","value":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"%s"}}`, `{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"taskId":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"ping","%s":1,"%s":2}`, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"%s"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"ping","method":"%s"}`, `{"jsonrpc":"2.0","id":1,"method":"ping"} %s`, `{"jsonrpc":"2.0","id":1,"METHOD":"%s"}`,
	`{"jsonrpc":"2.0","id":1,"result":{"a":"%s"},"method":"ping"}`, "\x00%s", "\xff%s", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"%s`,
	`{"jsonrpc":"2.0","id":1,"method":"skills/get","params":{"uri":"skill://%s/SKILL.md"}}`, `{"jsonrpc":"2.0","id":1,"method":"skills/list","params":{"cursor":"%s"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"skills/get","params":["%s"]}`,
}

// TestCanaryLines does the same with messages that are no calls at all. Only
// an id is given back: that is what ids are for.
func TestCanaryLines(t *testing.T) {
	for _, hello := range []string{"", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"},"capabilities":{}}}`} {
		w := newWatch(t)
		s := w.talk(t, nil, "--simulate")
		if hello != "" {
			s.line(t, hello)
			s.hear(t)
		}
		for _, line := range lines {
			line = strings.NewReplacer("%s", "\x01").Replace(line)
			for strings.Contains(line, "\x01") {
				line = strings.Replace(line, "\x01", w.secrets.issue("secret"), 1)
			}
			s.line(t, line)
			answer := s.hear(t)
			if !json.Valid([]byte(answer)) {
				t.Errorf("%s was answered with %s", line, answer)
			}
			w.keep("the answer to "+line[:min(90, len(line))], []byte(answer))
		}
		s.end(t)
		w.search(t)
	}
}

// TestCanaryExposure is the control of the pipes: what an exposure lets out is
// found, and nothing else is.
func TestCanaryExposure(t *testing.T) {
	for exposure, lets := range map[string]string{"handle": "", "token": "access token", "full": "access token, refresh token, password"} {
		w := newWatch(t)
		far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
		c := &caller{talk: w.talk(t, append(far.env, kept.env()...), "--expose", exposure), secrets: w.secrets}
		c.user = c.good(t, newUser())[0]
		refs := c.good(t, own("fintecture"), own("flinks"), own("finapi"), c.code("fintecture"), c.code("flinks"), c.password())
		c.good(t, refresh(refs[3]), refresh(refs[4]), refresh(refs[5]))
		w.folder(t, kept.dir)
		c.end(t)
		find, found := w.secrets.find(), map[string]int{}
		for _, sample := range w.empty() {
			for _, l := range find.in(sample.bytes) {
				found[l.what]++
				if !strings.Contains(lets, l.what) || sample.place != "stdout of stdio" {
					t.Errorf("%s: %s: a %s: %q", exposure, sample.place, l.what, l.around)
				}
			}
		}
		for what := range strings.SplitSeq(lets, ", ") {
			if what != "" && found[what] == 0 {
				t.Errorf("%s: no %s was found: this search can find nothing", exposure, what)
			}
		}
	}
}

// TestCanaryVault makes calls that the vault refuses.
func TestCanaryVault(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, s store) store{
		"another key":     func(t *testing.T, s store) store { return store{s.dir, forms["base64"](chance(32))} },
		"a key too short": func(t *testing.T, s store) store { return store{s.dir, forms["base64"](chance(31))} },
		"no key":          func(t *testing.T, s store) store { return store{s.dir, chance(43)} },
		"read only":       func(t *testing.T, s store) store { return s.mode(t, 0o500) },
		"unreadable":      func(t *testing.T, s store) store { return s.mode(t, 0) },
		"overwritten":     func(t *testing.T, s store) store { return s.overwrite(t) },
		"a file":          func(t *testing.T, s store) store { return store{filepath.Join(s.dir, "vault.db"), s.key} },
	} {
		w := newWatch(t)
		far, kept := newFarEnd(t, w.secrets), newStore(t, w.secrets)
		c := &caller{talk: w.talk(t, append(far.env, kept.env()...)), secrets: w.secrets}
		c.user = c.good(t, newUser())[0]
		ref := c.good(t, c.password())[0]
		c.end(t)
		spoiled := spoil(t, kept)
		w.secrets.add("vault key", spoiled.key)
		env := append(far.env, spoiled.env()...)
		c.talk = w.talk(t, env)
		wrong := 0
		for _, a := range c.all(t, own("finapi"), c.code("flinks"), c.password(), refresh(ref), newUser()) {
			if a.wrong {
				wrong++
			}
		}
		c.end(t)
		if wrong == 0 && os.Geteuid() != 0 { // root reads and writes what it likes
			t.Errorf("%s: no call was refused", name)
		}
		for _, args := range [][]string{{"tokens", "list"}, {"tokens", "show", ref}, {"doctor", "--json"}, {"call", "refresh_token", "token_ref=" + ref}, {"call", "--explain", "refresh_token", "token_ref=" + ref}} {
			w.command(t, env, "bankauth", args...)
		}
		kept.mode(t, 0o700)
		w.folder(t, kept.dir)
		w.search(t)
	}
}

// mode changes the mode of the folder and its files.
func (s store) mode(t *testing.T, mode os.FileMode) store {
	t.Helper()
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(s.dir, "vault.db*"))
	for _, f := range files {
		if err := os.Chmod(f, mode&0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.dir, mode); err != nil {
		t.Fatal(err)
	}
	return s
}

// overwrite damages the pages behind the first.
func (s store) overwrite(t *testing.T) store {
	t.Helper()
	path := filepath.Join(s.dir, "vault.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(b); i += 3 {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}
