package simulator_test

import (
	"sync"
	"testing"
	"time"

	"bankauth/internal/simulator"
)

// opened starts Flinks with a rotation and returns its first refresh token.
func opened(t *testing.T, r simulator.Rotation) (*caller, string) {
	t.Helper()
	c := flinks(t, simulator.Flinks{Rotation: r})
	return c, c.flicode(c.code()).text("refresh_token")
}

func TestRotationNone(t *testing.T) {
	c, token := opened(t, simulator.Rotation{})
	for range 3 {
		if r := c.want(c.flirefresh(token), 200); r.text("refresh_token") != "" {
			t.Error("nothing rotates")
		}
	}
	if g, ok := c.bank.Truth().Refresh(token); !ok || g.Posts != 3 || !g.Alive {
		t.Errorf("truth: %+v %v", g, ok)
	}
}

func TestRotationGrace(t *testing.T) {
	c, first := opened(t, simulator.Rotation{Rotation: "grace", RotationGrace: time.Minute})
	second := c.want(c.flirefresh(first), 200).text("refresh_token")
	c.clock.pass(59 * time.Second)
	replay := c.want(c.flirefresh(first), 200).text("refresh_token")
	if second == first || second == "" || replay != second {
		t.Errorf("a replay in the grace gives the same successor: %q %q %q", first, second, replay)
	}
	c.clock.pass(time.Second)
	c.want(c.flirefresh(first), 400, "invalid_grant")
	c.want(c.flirefresh(second), 200)
}

func TestRotationStrict(t *testing.T) {
	c, first := opened(t, simulator.Rotation{Rotation: "strict"})
	second := c.want(c.flirefresh(first), 200).text("refresh_token")
	c.want(c.flirefresh(first), 400, "invalid_grant")
	c.want(c.flirefresh(second), 200)
	g := c.bank.Truth().Grants[0]
	if !g.Alive || g.Posts != 3 || len(g.Tokens) != 3 || g.Tokens[0].Alive || g.Tokens[0].Posts != 2 || !g.Tokens[2].Alive {
		t.Errorf("truth: %+v", g)
	}
}

func TestRotationReuseRevokes(t *testing.T) {
	c, first := opened(t, simulator.Rotation{Rotation: "strict", RotationReuse: "revoke"})
	second := c.want(c.flirefresh(first), 200)
	c.want(c.flirefresh(first), 400)
	c.want(c.flirefresh(second.text("refresh_token")), 400)
	if c.bank.Alive(second.text("access_token")) {
		t.Error("reuse must end the whole grant")
	}
}

func TestRotationOfTheOthers(t *testing.T) {
	strict := simulator.Rotation{Rotation: "strict"}
	f := fintecture(t, simulator.Fintecture{Rotation: strict})
	first := f.fintoken("grant_type=authorization_code&code=" + f.code()).text("refresh_token")
	second := f.want(f.finrefresh(first), 200).text("refresh_token")
	f.want(f.finrefresh(first), 401)
	f.want(f.finrefresh(second), 200)

	a := finapi(t, simulator.FinAPI{Rotation: strict})
	first = a.user().text("refresh_token")
	second = a.want(a.apirefresh(first), 200).text("refresh_token")
	a.want(a.apirefresh(first), 400)
	a.want(a.apirefresh(second), 200)
}

// One of many who spend a strictly rotating token at once is served.
func TestStrictRotationUnderLoad(t *testing.T) {
	c, token := opened(t, simulator.Rotation{Rotation: "strict"})
	c.bank.SetDelay(20*time.Millisecond, 0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	served := 0
	for range 20 {
		wg.Go(func() {
			r, err := c.try("POST /api/v1/token", "{"+inBody+`,"grant_type":"refresh_token","refresh_token":"`+token+`"}`, "Content-Type", asJSON)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && r.status == 200 {
				served++
			}
		})
	}
	wg.Wait()
	g, _ := c.bank.Truth().Refresh(token)
	if served != 1 || g.Posts != 20 || g.Overlaps == 0 || g.Overlaps > 19 {
		t.Errorf("served %d, truth %+v", served, g)
	}
}

func TestTokensAreBounded(t *testing.T) {
	c := start(t, simulator.NameFintecture, simulator.Switches{MaxTokens: 100})
	first := c.fintoken(pis).text("access_token")
	for range 150 {
		c.fintoken(pis)
	}
	if n := c.bank.Truth().Access; n > 100 || n < 80 {
		t.Errorf("%d access tokens are alive", n)
	}
	if c.bank.Alive(first) {
		t.Error("the oldest dies first")
	}
}
