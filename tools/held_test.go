package tools_test

import (
	"encoding/json"
	"testing"

	"bankauth/schema"
	"bankauth/tools"
)

// Held is true for what the next call takes from memory, and for nothing else.
func TestHeld(t *testing.T) {
	h := open(t)
	held := func(tool, args string) bool {
		var given any
		if err := json.Unmarshal([]byte(args), &given); err != nil {
			t.Fatal(err)
		}
		return h.Held(tools.Local, tool, given)
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
			if again := h.ok(schema.CreateAccessToken, args); again["reused"] != true {
				t.Errorf("%s was held and not handed out again: %v", args, again)
			}
		}
	}
	if held(schema.RefreshToken, scoped) || h.Held("somebody else", schema.CreateAccessToken, map[string]any{"provider": "fintecture", "grant_type": "client_credentials", "scope": "PIS"}) {
		t.Error("held for another tool or another principal")
	}
}
