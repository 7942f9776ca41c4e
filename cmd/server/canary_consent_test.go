package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bankauth/internal/simulator"
)

// TestCanaryConsent has persons consent and refuse, reads every resource,
// prompt and completion, and searches what an agent and a person saw.
func TestCanaryConsent(t *testing.T) {
	w := newWatch(t)
	kept := newStore(t, w.secrets)
	_, banks := marked(t, w.secrets)
	env := append(append(banks, kept.env()...), "BANKAUTH_CONSENT_LISTEN=127.0.0.1:0")
	s := w.talk(t, env)
	consent := func(provider string, grant bool) answered {
		args := map[string]any{"provider": provider, "grant_type": "authorization_code"}
		var first struct {
			Error struct {
				URL string `json:"consent_url"`
				Ref string `json:"consent_ref"`
			}
		}
		asked := s.all(t, ask{"create_access_token", args})[0]
		if err := json.Unmarshal([]byte(asked.text), &first); err != nil || first.Error.URL == "" {
			t.Fatal(asked.text)
		}
		v, err := simulator.Consent(t.Context(), first.Error.URL, grant)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"code", "state"} {
			w.secrets.add(name, v.URL.Query().Get(name))
		}
		w.keep("the person's page", []byte(v.Body+fmt.Sprint(v.Header)))
		args["consent_ref"] = first.Error.Ref
		return s.all(t, ask{"create_access_token", args})[0]
	}
	for _, provider := range []string{"fintecture", "flinks"} {
		if a := consent(provider, true); a.wrong {
			t.Errorf("%s: %s", provider, a.text)
		}
		if a := consent(provider, false); !a.wrong {
			t.Errorf("%s: %s", provider, a.text)
		}
	}
	refs := kept.gather(t, w.secrets)
	if len(refs) != 2 {
		t.Fatalf("%d tokens", len(refs))
	}
	says := func(method, params, want string) {
		s.last++
		s.line(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, s.last, method, params))
		if said := s.hear(t); !strings.Contains(said, want) {
			t.Errorf("%s %s: %s", method, params, said)
		}
	}
	read := func(uri, want string) { says("resources/read", `{"uri":"`+uri+`"}`, want) }
	read("bankauth://providers", `\"configured\":true`)
	read("bankauth://tokens", refs[0])
	for _, ref := range refs {
		read("bankauth://tokens/"+ref, `\"state\":\"live\"`)
	}
	for _, provider := range []string{"fintecture", "flinks", "finapi"} {
		read("bankauth://providers/"+provider, `\"name\":\"`+provider)
		read("bankauth://providers/"+provider+"/document", "openapi: 3.1")
		says("prompts/get", `{"name":"connect_bank","arguments":{"provider":"`+provider+`"}}`, "create_access_token")
		says("completion/complete", `{"ref":{"type":"ref/prompt","name":"connect_bank"},"argument":{"name":"scope","value":""},"context":{"arguments":{"provider":"`+provider+`"}}}`, `"values":[`)
	}
	says("completion/complete", `{"ref":{"type":"ref/resource","uri":"bankauth://tokens/{token_ref}"},"argument":{"name":"token_ref","value":"tok_"}}`, refs[1])
	w.folder(t, kept.dir)
	s.end(t)
	w.folder(t, kept.dir)
	w.search(t)
}
