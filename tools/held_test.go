package tools_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bankauth/schema"
	"bankauth/tools"
)

// Held answers what a call takes from memory as that call would, and nothing
// else.
func TestHeld(t *testing.T) {
	h := open(t)
	result := func(tool, args string) (any, bool) {
		var given any
		if err := json.Unmarshal([]byte(args), &given); err != nil {
			t.Fatal(err)
		}
		return h.Held(t.Context(), tools.Local, tool, given)
	}
	held := func(tool, args string) bool {
		_, held := result(tool, args)
		return held
	}
	const scoped = `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`
	if held(schema.CreateAccessToken, scoped) {
		t.Error("held before there is a vault")
	}
	h.ok(schema.CreateAccessToken, scoped)
	for args, want := range map[string]bool{
		scoped: true,
		`{"provider":" Fintecture ","grant_type":"Client Credentials","scope":"PIS","force":"false","code":null}`: true,
		`"{\"provider\":\"fintecture\",\"grant_type\":\"client_credentials\",\"scope\":\"PIS\"}"`:                 true,
		`{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS","force":true}`:                  false,
		`{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS","force":"perhaps"}`:             false,
		`{"provider":"fintecture","grant_type":"client_credentials","scope":"AIS"}`:                               false,
		`{"provider":"fintecture","grant_type":"client_credentials","scope":["PIS"]}`:                             false,
		`{"provider":"fintecture","grant_type":"client_credentials"}`:                                             false,
		`{"provider":"fintecture","grant_type":"authorization_code","scope":"PIS"}`:                               false,
		`{"provider":"flinks","grant_type":"client_credentials","scope":"PIS"}`:                                   false,
		`{"provider":"nobody"}`: false, `{}`: false, `[]`: false, `null`: false, `"x"`: false, `7`: false,
	} {
		if got := held(schema.CreateAccessToken, args); got != want {
			t.Errorf("%s: %v, want %v", args, got, want)
		}
		if want {
			got, _ := result(schema.CreateAccessToken, args)
			var r struct{ StructuredContent map[string]any }
			if err := json.Unmarshal(got.(json.RawMessage), &r); err != nil {
				t.Fatal(err)
			}
			again := h.ok(schema.CreateAccessToken, args)
			delete(again, "expires_in") // which the time between the two has changed
			delete(r.StructuredContent, "expires_in")
			if again["reused"] != true || !cmp.Equal(r.StructuredContent, again) {
				t.Errorf("%s: held %v, called %v", args, r.StructuredContent, again)
			}
		}
	}
	_, others := h.Held(t.Context(), "somebody else", schema.CreateAccessToken, map[string]any{"provider": "fintecture", "grant_type": "client_credentials", "scope": "PIS"})
	if held(schema.RefreshToken, scoped) || others {
		t.Error("held for another tool or another principal")
	}
}
