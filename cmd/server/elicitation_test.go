package main

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"bankauth/internal/simulator"
)

// TestElicitation plays conversations in which a person has to consent. A line
// "> " is the client's, "< " the server's; "! grant" and "! deny" are the
// person, who opens the address that the server named last and presses a
// button. con_REF in a client's line stands for the last consent_ref.
func TestElicitation(t *testing.T) {
	elicitations(t, "elicitation", func(t *testing.T) wire {
		s := start(t, nil, "stdio", "--simulate")
		return wire{say: func(line string) { s.say(t, line) }, hear: func() string { return s.hear(t) }, end: func() string { return s.end(t) }}
	})
}

// TestElicitationOverHTTP does the same at /mcp, for a caller with a token; the
// person's browser has none.
func TestElicitationOverHTTP(t *testing.T) {
	elicitations(t, "elicitation_http", func(t *testing.T) wire {
		clients := "BANKAUTH_CLIENTS_FILE=" + filepath.Join(t.TempDir(), "clients.json")
		token := strings.TrimSpace(shell(t, []string{clients}, "clients", "add", "agent"))
		s := start(t, []string{clients}, "serve", "--simulate", "--listen", "127.0.0.1:0")
		url := where(t, s)
		var heard string
		return wire{hear: func() string { return heard }, end: func() string { return terminate(t, s) }, say: func(line string) {
			header := []string{"Authorization: Bearer " + token}
			if strings.Contains(line, `protocolVersion":"2026-07-28"`) {
				header = append(header, "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: create_access_token")
			}
			var err error
			if _, heard, err = post(t.Context(), http.DefaultClient, url, line, header...); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

// wire is how a client talks to a server. end returns what the server said
// beyond what was asked.
type wire struct {
	say  func(line string)
	hear func() string
	end  func() string
}

func elicitations(t *testing.T, folder string, open func(*testing.T) wire) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d conversations, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := string(a.Files[0].Data)
			got := elicit(t, open(t), want)
			if *update {
				a.Files[0].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-want +got; -update writes it anew)\n%s", diff)
			}
		})
	}
}

var consentPage = regexp.MustCompile(`http://127\.0\.0\.1:\d+/consent/(con_[a-z2-7]{32})`)

func elicit(t *testing.T, d wire, script string) string {
	var all strings.Builder
	var page, ref string
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			d.say(strings.ReplaceAll(line[2:], "con_REF", ref))
		case strings.HasPrefix(line, "! "):
			if _, err := simulator.Consent(t.Context(), page, line == "! grant"); err != nil {
				t.Fatal(err)
			}
		default:
			heard := d.hear()
			if m := consentPage.FindStringSubmatch(heard); m != nil {
				page, ref = m[0], m[1]
			}
			line = "< " + steady(t, heard)
		}
		all.WriteString(line + "\n")
	}
	if rest := d.end(); rest != "" {
		t.Errorf("the server went on: %s", rest)
	}
	return all.String()
}

// TestConsentWaitEndsWithTheInput: who leaves does not keep the process.
func TestConsentWaitEndsWithTheInput(t *testing.T) {
	s := start(t, nil, "stdio", "--simulate")
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_access_token","arguments":{"provider":"flinks","grant_type":"authorization_code"%s}}}`
	s.say(t, strings.Replace(call, "%s", "", 1))
	ref := consentPage.FindStringSubmatch(s.hear(t))[1]
	s.say(t, strings.Replace(call, "%s", `,"consent_ref":"`+ref+`"`, 1))
	began := time.Now()
	if rest := s.end(t); !strings.Contains(rest, `\"retryable\":true`) {
		t.Errorf("the call was answered %q", rest)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the process ended after %v", took)
	}
}

// TestCallWaitsForThePerson: from the shell the address is on stderr, and the
// command ends when the person has answered.
func TestCallWaitsForThePerson(t *testing.T) {
	for _, grant := range []bool{true, false} {
		cmd := exec.Command("bankauth", "call", "--simulate", "create_access_token", "provider=fintecture", "grant_type=authorization_code")
		cmd.Env = outside(t, nil)
		var out bytes.Buffer
		cmd.Stdout = &out
		errs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // where the test failed
		page := ""
		for lines := bufio.NewScanner(errs); page == "" && lines.Scan(); {
			page = consentPage.FindString(lines.Text())
		}
		if _, err := simulator.Consent(t.Context(), page, grant); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if said := out.String(); (err == nil) != grant || strings.Contains(said, `"token_ref":"tok_`) != grant || strings.Contains(said, `"code":"reauthorize"`) == grant {
			t.Errorf("granted %v: %v, %s", grant, err, said)
		}
	}
}
