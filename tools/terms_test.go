package tools_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestConsentRefWithOtherArguments: nobody was asked for those, so they are not
// passed over. The same ones, said or left to their defaults, go on.
func TestConsentRefWithOtherArguments(t *testing.T) {
	h := open(t, asking(t, nil))
	for _, c := range []struct {
		provider, opened string
		same, other      []string
	}{
		{"flinks", ``, []string{``, `,"scope":"ACCOUNT_BASIC ACCOUNT_DETAILED TRANSACTIONS"`}, []string{`"scope":"STATEMENTS"`, `"institution":"7"`, `"redirect_uri":"http://127.0.0.1/"`, `"username":"u"`}},
		{"flinks", `,"scope":"STATEMENTS","institution":"7"`, []string{``, `,"scope":"STATEMENTS"`}, []string{`"scope":"TRANSACTIONS"`, `"institution":"1000"`}},
		{"fintecture", ``, []string{``, `,"scope":"AIS"`}, []string{`"scope":"PIS"`, `"institution":"x"`}},
	} {
		call := `{"provider":"` + c.provider + `","grant_type":"authorization_code"`
		e := h.fault("create_access_token", call+c.opened+`}`)
		ref := fmt.Sprint(e["consent_ref"])
		call += `,"consent_ref":"` + ref + `"`
		refused := func(when string) {
			for _, other := range c.other {
				name, _, _ := strings.Cut(strings.Trim(other, `"`), `"`)
				got := h.fault("create_access_token", call+","+other+`}`)
				if got["code"] != "invalid_argument" || fmt.Sprint(got["not_allowed"]) != "["+name+"]" || !strings.Contains(fmt.Sprint(got["hint"]), "leave "+name+" out") {
					t.Errorf("%s, %s, with %s: %v", c.provider, when, other, got)
				}
			}
		}
		refused("before")
		h.person(e["consent_url"].(string), true)
		refused("after")
		for _, same := range c.same {
			h.ok("create_access_token", call+same+`}`)
		}
	}
}
