package config_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/config"
	"bankauth/internal/fault"
)

func read(entries ...string) config.Environment { return config.Read(entries, "linux") }

// wantFault fails unless err is a fault for the operator that says want and
// none of secrets.
func wantFault(t *testing.T, err error, want string, secrets ...string) {
	t.Helper()
	var f *fault.Fault
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a fault", err)
	}
	said := f.Message + "\n" + f.Hint
	if f.Code != fault.NotConfigured || !strings.Contains(said, want) || f.Hint == "" {
		t.Errorf("got %s: %s, want one with %q and a hint", f.Code, said, want)
	}
	for _, s := range secrets {
		if strings.Contains(said, s) {
			t.Errorf("%q gives away %q", said, s)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	for value, want := range map[string]bool{
		"${FINTECTURE_CLIENT_ID}":     true,
		"${FINTECTURE_CLIENT_ID:-}":   true,
		"${user_config.client_id}":    true,
		"${env:FINAPI_CLIENT_ID}":     true,
		"${input:finapi-secret}":      true,
		"  ${X}\n":                    true,
		"$FLINKS_CLIENT_ID":           true,
		"$env:FLINKS_CLIENT_ID":       true,
		"$(FLINKS_CLIENT_ID)":         true,
		"%FLINKS_CLIENT_ID%":          true,
		"{{flinks.client_id}}":        true,
		"{{ secrets.FLINKS }}":        true,
		"<YOUR_CLIENT_ID>":            true,
		"<your client id>":            true,
		"":                            false,
		"sandbox":                     false,
		"abc$DEF":                     false,
		"$1cret":                      false,
		"p${x}":                       false,
		"${x}/y":                      false,
		"{{x}} ":                      true,
		"a<b>":                        false,
		"100%":                        false,
		"%41%42":                      false,
		"https://x.example/{id}":      false,
		"$2b$12$abcdefghijklmnopqrst": false,
	} {
		if got := config.IsPlaceholder(value); got != want {
			t.Errorf("IsPlaceholder(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestPlaceholderCountsAsUnset(t *testing.T) {
	e := read("FINAPI_CLIENT_ID=${FINAPI_CLIENT_ID}", "BANKAUTH_EXPOSE=$BANKAUTH_EXPOSE", "OTHER=${OTHER}",
		"FLINKS_CLIENT_ID=  id-1 ", "FLINKS_BASE_URL=", "BROKEN", "FLINKS_CLIENT_ID=second")
	for _, name := range []string{"FINAPI_CLIENT_ID", "BANKAUTH_EXPOSE", "FLINKS_BASE_URL", "BROKEN", "ABSENT"} {
		if v, ok := e.Lookup(name); ok {
			t.Errorf("%s is set to %q", name, v)
		}
	}
	if v, _ := e.Lookup("FLINKS_CLIENT_ID"); v != "id-1" {
		t.Errorf("got %q, want the first value without the space", v)
	}
	if got := e.Placeholders([]string{"flinks"}); !cmp.Equal(got, []string{"BANKAUTH_EXPOSE"}) {
		t.Errorf("got %v: neither the first value of a name nor an empty one is a placeholder", got)
	}
	if got := e.Placeholders([]string{"finapi"}); !cmp.Equal(got, []string{"BANKAUTH_EXPOSE", "FINAPI_CLIENT_ID"}) {
		t.Errorf("got %v: only the settings' own, sorted", got)
	}
	if got := e.Placeholders(nil); !cmp.Equal(got, []string{"BANKAUTH_EXPOSE"}) {
		t.Errorf("got %v", got)
	}
	var zero config.Environment
	if zero.Has("HOME") {
		t.Error("the zero Environment has no variable")
	}
}

func TestEnvironmentDoesNotPrint(t *testing.T) {
	e := read("FINAPI_CLIENT_SECRET=HUNTER2-canary")
	p, err := e.Provider("finapi")
	if err != nil {
		t.Fatal(err)
	}
	if out := fmt.Sprintf("%v %+v %#v %v %+v %#v", e, e, e, p, p, p); strings.Contains(out, "HUNTER2") {
		t.Errorf("the secret got out: %s", out)
	}
	if p.ClientSecret.Reveal() != "HUNTER2-canary" {
		t.Error("the secret was not read: this test could not fail")
	}
}

func TestArgs(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"stdio --data-dir=${user_config.dir} --simulate", "stdio --simulate"},
		{"stdio --expose ${user_config.expose} --log-level debug", "stdio --log-level debug"},
		{"stdio --expose= --log-level=info", "stdio --log-level=info"},
		{"call create_user id=${x} --other ${x}", "call create_user id=${x} --other ${x}"},
		{"exec tok_x -- echo --expose ${x}", "exec tok_x -- echo --expose ${x}"},
		{"stdio --expose", "stdio --expose"},
	} {
		if got := strings.Join(config.Args(strings.Fields(c.in)), " "); got != c.want {
			t.Errorf("Args(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDataDir(t *testing.T) {
	for _, c := range []struct{ goos, env, set, want string }{
		{"linux", "HOME=/h", "", "/h/.local/state/bankauth"},
		{"linux", "HOME=/h,XDG_STATE_HOME=/s", "", "/s/bankauth"},
		{"linux", "HOME=/h,XDG_STATE_HOME=s", "", "/h/.local/state/bankauth"},
		{"linux", "HOME=/h,XDG_STATE_HOME=${XDG_STATE_HOME}", "", "/h/.local/state/bankauth"},
		{"darwin", "HOME=/h,XDG_STATE_HOME=/s", "", "/h/Library/Application Support/bankauth"},
		{"windows", "LocalAppData=/l,USERPROFILE=/u", "", "/l/bankauth"},
		{"windows", "USERPROFILE=/u", "", "/u/AppData/Local/bankauth"},
		{"linux", "HOME=/h", "/data", "/data"},
		{"linux", "HOME=/h", "~/data", "/h/data"},
		{"linux", "HOME=/h", "~", "/h"},
		{"linux", "HOME=/h", "/x/../data/", "/data"},
	} {
		e := config.Read(strings.Split(c.env, ","), c.goos)
		dir, named, err := e.DataDir(config.Settings{DataDir: c.set})
		if err != nil || filepath.ToSlash(dir) != c.want || named != (c.set != "") {
			t.Errorf("%s %s %q: got %q, %v, %v; want %q", c.goos, c.env, c.set, dir, named, err, c.want)
		}
	}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		_, _, err := config.Read(nil, goos).DataDir(config.Settings{})
		wantFault(t, err, "BANKAUTH_DATA_DIR")
		_, _, err = config.Read(nil, goos).DataDir(config.Settings{DataDir: "~/x"})
		wantFault(t, err, "home folder")
	}
	if dir, _, err := read().DataDir(config.Settings{DataDir: "data"}); err != nil || !filepath.IsAbs(dir) {
		t.Errorf("got %q, %v: a relative folder must become absolute", dir, err)
	}
}

func TestUnknown(t *testing.T) {
	e := read("BANKAUTH_DATADIR=/x", "BANKAUTH_LOG_LEVEL=info", "BANKAUTH_ACCESS_TOKEN=x", "BANKAUTH_VAULT_KEY_FILE=/k",
		"FINAPI_CLIENT_SECRETS=x", "FINAPI_CLIENT_SECRET_FILE=/k", "FLINKS_CLIENTID=", "HOME=/h", "BANKAUTH_ZZZZZZZZZZZZZZZZ=1")
	want := []config.Unknown{
		{Name: "BANKAUTH_DATADIR", DidYouMean: "BANKAUTH_DATA_DIR"},
		{Name: "BANKAUTH_ZZZZZZZZZZZZZZZZ"},
		{Name: "FINAPI_CLIENT_SECRETS", DidYouMean: "FINAPI_CLIENT_SECRET"},
	}
	if diff := cmp.Diff(want, e.Unknown([]string{"finapi"})); diff != "" {
		t.Error(diff)
	}
	got := e.Unknown([]string{"flinks"})
	if last := got[len(got)-1]; last != (config.Unknown{Name: "FLINKS_CLIENTID", DidYouMean: "FLINKS_CLIENT_ID"}) {
		t.Errorf("got %v", last)
	}
}
