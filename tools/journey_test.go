package tools_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

const redirect = "https://app.example/callback"

func TestFintectureJourney(t *testing.T) {
	h := open(t)
	pis := h.ok(schema.CreateAccessToken, `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`)
	if pis["reused"] != false || pis["token_type"] != "Bearer" || pis["environment"] != "simulated" {
		t.Errorf("unexpected result %v", pis)
	}
	again := h.ok(schema.CreateAccessToken, `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`)
	if again["reused"] != true || again["token_ref"] != pis["token_ref"] {
		t.Errorf("a fresh token must be handed out again: %v", again)
	}
	forced := h.ok(schema.CreateAccessToken, `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS","force":true}`)
	if forced["reused"] != false || forced["token_ref"] != pis["token_ref"] {
		t.Errorf("force asks again and keeps token_ref: %v", forced)
	}
	other := h.ok(schema.CreateAccessToken, `{"provider":"fintecture","grant_type":"client_credentials","scope":"customers"}`)
	if other["token_ref"] == pis["token_ref"] {
		t.Error("another scope is another token")
	}
	ais := h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"fintecture","grant_type":"authorization_code","code":%q,"scope":"AIS"}`, h.code("fintecture", redirect, "AIS")))
	if ais["refreshable"] != true {
		t.Errorf("unexpected result %v", ais)
	}
	stored := h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q}`, ais["token_ref"]))
	if stored["reused"] != true {
		t.Errorf("a fresh token is returned as it is: %v", stored)
	}
	fresh := h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, ais["token_ref"]))
	if fresh["reused"] != false || fresh["token_ref"] != ais["token_ref"] {
		t.Errorf("unexpected result %v", fresh)
	}
}

func TestFlinksJourney(t *testing.T) {
	h := open(t)
	h.ok(schema.CreateAccessToken, `{"provider":"flinks","grant_type":"client_credentials","scope":"client:admin"}`)
	code := h.code("flinks", redirect, "ACCOUNT_BASIC")
	wrong := h.fault(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"flinks","grant_type":"authorization_code","code":%q,"redirect_uri":"https://app.example/other"}`, code))
	if wrong["code"] != "reauthorize" || wrong["provider_code"] != "invalid_grant" {
		t.Errorf("unexpected error %v", wrong)
	}
	code = h.code("flinks", redirect, "ACCOUNT_BASIC")
	user := h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"flinks","grant_type":"authorization_code","code":%q,"redirect_uri":%q}`, code, redirect))
	if user["subject"] == nil || user["refreshable"] != true {
		t.Errorf("unexpected result %v", user)
	}
	for range 3 {
		fresh := h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, user["token_ref"]))
		if fresh["token_ref"] != user["token_ref"] || fresh["subject"] != user["subject"] || fresh["refreshable"] != true {
			t.Errorf("unexpected result %v", fresh)
		}
	}
}

func TestFinapiJourney(t *testing.T) {
	h := open(t)
	refused := h.fault(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"password","username":"nobody"}`)
	if refused["code"] != "invalid_argument" || h.sim.Bank("finapi").Truth().Requests != 0 {
		t.Errorf("without a stored password nothing may be sent: %v", refused)
	}
	user := h.ok(schema.CreateUser, `{"provider":"finapi","email":"a@example.org"}`)
	if user["password_stored"] != true || user["password"] != nil || user["email"] != "a@example.org" {
		t.Errorf("unexpected result %v", user)
	}
	acting := h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, user["id"]))
	h.ok(schema.RefreshToken, fmt.Sprintf(`{"token_ref":%q,"force":true}`, acting["token_ref"]))
	named := h.ok(schema.CreateUser, `{"provider":"finapi","id":"Erika.M"}`)
	if named["id"] != "Erika.M" {
		t.Errorf("unexpected result %v", named)
	}
	twice := h.fault(schema.CreateUser, `{"provider":"finapi","id":"erika.m"}`)
	if twice["code"] != "conflict" {
		t.Errorf("unexpected error %v", twice)
	}
	h.ok(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"password","username":"erika.m"}`)
}

// An answer that was lost costs nothing: the user is there, and its password
// was stored before the request left.
// An answer that is lost costs nothing: the request is sent again, and the user
// who is there is known by the password that we made.
func TestLostAnswerOfCreateUser(t *testing.T) {
	h := open(t)
	bank := h.sim.Bank("finapi")
	h.ok(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"client_credentials"}`)
	lose := func(times int) {
		bank.SetFault(simulator.Fault{Tool: schema.CreateUser, Times: times, DropAfter: true})
	}

	lose(1)
	if got := h.ok(schema.CreateUser, `{"provider":"finapi","id":"Erika","email":"e@example.org"}`); got["id"] != "Erika" || got["email"] != "e@example.org" || got["password_stored"] != true {
		t.Errorf("unexpected result %v", got)
	}
	h.ok(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"password","username":"erika"}`)

	// Both answers are lost: the next call like it finds the same user, and the
	// one after that makes another.
	lose(2)
	if lost := h.fault(schema.CreateUser, `{"provider":"finapi"}`); lost["code"] != "uncertain" {
		t.Fatalf("unexpected error %v", lost)
	}
	if n := len(bank.Truth().Users); n != 2 {
		t.Fatalf("%d users, not Erika and the lost one", n)
	}
	found := h.ok(schema.CreateUser, `{"provider":"finapi"}`)
	if n := len(bank.Truth().Users); n != 2 {
		t.Fatalf("%d users: the repeat made another", n)
	}
	h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, found["id"]))
	if other := h.ok(schema.CreateUser, `{"provider":"finapi"}`); other["id"] == found["id"] {
		t.Error("a further call got the same user")
	}
}

// A user who is somebody else's is not taken for ours because an answer was lost.
func TestLostAnswerBesideAnothersUser(t *testing.T) {
	h := open(t)
	if r := h.Call(t.Context(), "another", schema.CreateUser, map[string]any{"provider": "finapi", "id": "erika"}); r.IsError {
		t.Fatalf("%s", r.JSON)
	}
	h.ok(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"client_credentials"}`)
	h.sim.Bank("finapi").SetFault(simulator.Fault{Tool: schema.CreateUser, Times: 1, DropBefore: true})
	if e := h.fault(schema.CreateUser, `{"provider":"finapi","id":"erika"}`); e["code"] != "conflict" {
		t.Fatalf("unexpected error %v", e)
	}
	if e := h.fault(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"password","username":"erika"}`); e["code"] != "invalid_argument" {
		t.Errorf("a password is held for another's user: %v", e)
	}
}

// An authorization code that was exchanged without anybody hearing of it gives
// the token that it gave.
func TestRepeatedCode(t *testing.T) {
	h := open(t)
	bank := h.sim.Bank("flinks")
	code := h.code("flinks", redirect, "ACCOUNT_BASIC")
	args := fmt.Sprintf(`{"provider":"flinks","grant_type":"authorization_code","code":%q,"redirect_uri":%q}`, code, redirect)
	bank.SetFault(simulator.Fault{Tool: schema.CreateAccessToken, Times: 1, DelayAfter: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var parsed map[string]any
	if err := json.Unmarshal([]byte(args), &parsed); err != nil {
		t.Fatal(err)
	}
	if r := h.Call(ctx, tools.Local, schema.CreateAccessToken, parsed); !r.IsError {
		t.Fatal("the caller did not hang up")
	}
	got := h.ok(schema.CreateAccessToken, args)
	if got["refreshable"] != true || bank.Truth().Begun != 1 {
		t.Errorf("%v, %d grants", got, bank.Truth().Begun)
	}
}

// The provider's own password is kept, also where it came in an answer that
// cannot be used otherwise.
func TestPasswordBesideAnError(t *testing.T) {
	var client *providers.Client
	h := open(t, func(o *tools.Options) { client = o.Banks[2].Client })
	h.ok(schema.CreateAccessToken, `{"provider":"finapi","grant_type":"client_credentials"}`)
	h.sim.Bank("finapi").SetFault(simulator.Fault{Tool: schema.CreateUser, Times: 1, Status: 201, Body: `{"id":"erika","password":"from-the-bank"`})
	if cut := h.fault(schema.CreateUser, `{"provider":"finapi","id":"erika"}`); cut["code"] != "uncertain" {
		t.Fatalf("unexpected error %v", cut)
	}
	owner := vault.Account{Principal: tools.Local, Provider: "finapi", Environment: client.Environment(), Client: client.Fingerprint(), User: "erika"}
	held, _, err := h.vault.Password(t.Context(), owner)
	if err != nil || !held.Equal(secret.New("from-the-bank")) {
		t.Errorf("the password in the answer was lost: %v", err)
	}
}

// A password that cannot be read now is not one that is not held: the token
// outlives a vault that is out of order for a moment.
func TestUnreadablePasswordEndsNoToken(t *testing.T) {
	h := open(t)
	user := h.ok(schema.CreateUser, `{"provider":"finapi"}`)
	acting := h.ok(schema.CreateAccessToken, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, user["id"]))
	ref := acting["token_ref"].(string)
	rec, err := h.vault.Get(t.Context(), tools.Local, ref)
	if err != nil || !h.sim.Bank("finapi").Revoke(rec.Token.Refresh.Reveal()) {
		t.Fatalf("the refresh token was not there to be revoked: %v", err)
	}
	status, err := h.vault.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) {
		db, err := sql.Open("sqlite", status.Path+"/vault.db")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("passwords", "elsewhere")
	refresh := fmt.Sprintf(`{"token_ref":%q,"force":true}`, ref)
	if got := h.fault(schema.RefreshToken, refresh); got["code"] != "vault_unavailable" {
		t.Errorf("unexpected error %v", got)
	}
	rename("elsewhere", "passwords")
	h.ok(schema.RefreshToken, refresh)
}
