//go:build unix

package vault_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

const childVariable = "BANKAUTH_VAULT_TEST_CHILD"

// order is what a second process is told to do.
type order struct {
	Do, Dir, Ref, URL string
	Calls             int
	Refs              []string
	Grant, Account    string
	Store             string        // of a replica; "" for what withKey says
	Lease             time.Duration // of a replica
}

func (o order) options() vault.Options {
	all := withKey(o.Dir)
	if o.Store != "" {
		all.Store = secret.New(o.Store)
	}
	all.Lease = o.Lease
	return all
}

// child runs in a process of its own: it opens the vault, says "ready", waits
// for a line, does what it was ordered and prints the results.
func child() int {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &o); err != nil {
		fmt.Println("order:", err)
		return 2
	}
	in := bufio.NewReader(os.Stdin)
	if o.Do == "open" { // the opening itself is what is raced
		fmt.Println("ready")
		_, _ = in.ReadString('\n')
	}
	v, err := vault.Open(context.Background(), o.options())
	if err != nil {
		fmt.Println("open:", err)
		return 2
	}
	if o.Do != "open" {
		fmt.Println("ready")
		_, _ = in.ReadString('\n')
	}
	if err := obey(v, o, in); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("done")
	_, _ = in.ReadString('\n') // a killed child is killed here
	if err := v.Close(context.Background()); err != nil {
		fmt.Println("close:", err)
		return 1
	}
	return 0
}

func obey(v *vault.Vault, o order, in *bufio.Reader) error {
	ctx := context.Background()
	switch o.Do {
	case "refresh":
		errs := make([]error, o.Calls)
		var all sync.WaitGroup
		for i := range o.Calls {
			all.Go(func() { _, _, errs[i] = v.Refresh(ctx, me, o.Ref, vault.Policy{}, postTo(o.URL)) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	case "refresh each":
		return refreshEach(v, o, in)
	case "refresh all":
		return refreshAll(v, o)
	case "hang":
		_, _, err := v.Refresh(ctx, me, o.Ref, vault.Policy{}, func(ctx context.Context, _ vault.Record) (token.Token, error) {
			fmt.Println("minting")
			<-ctx.Done()
			return token.Token{}, ctx.Err()
		})
		return err
	case "stall": // hears the answer however late it is
		_, _, err := v.Refresh(ctx, me, o.Ref, vault.Policy{Deadline: o.Lease / 2}, func(ctx context.Context, old vault.Record) (token.Token, error) {
			return postTo(o.URL)(context.WithoutCancel(ctx), old)
		})
		return err
	case "full": // no file may grow any more, as on a full disk
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1, Max: 1}); err != nil {
			return err
		}
		_, _, err := v.Refresh(ctx, me, o.Ref, vault.Policy{}, postTo(o.URL))
		return err
	case "forget":
		return v.Forget(ctx, me, o.Ref)
	}
	id := identity(o.Grant, o.Account)
	for i := range max(o.Calls, 1) {
		r, _, err := v.Obtain(ctx, id, vault.Policy{Force: i > 0}, postTo(o.URL))
		if err != nil {
			return err
		}
		fmt.Println(r.Ref, r.Generation)
	}
	return nil
}

// postTo mints at a provider of the parent's.
func postTo(url string) vault.Mint {
	return func(ctx context.Context, old vault.Record) (token.Token, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(old.Token.Refresh.Reveal()))
		if err != nil {
			return token.Token{}, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return token.Token{}, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return token.Token{Access: secret.New("access " + string(b)), Refresh: secret.New("refresh " + string(b)), Type: "Bearer",
			Expiry: token.ExpiresAt, ExpiresAt: time.Now().Add(time.Hour)}, err
	}
}

// provider counts its posts, and how many were under way at once.
type provider struct {
	*httptest.Server
	posts, now, most atomic.Int64
}

func newProvider(t *testing.T, delay time.Duration) *provider {
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.most.Store(max(p.most.Load(), p.now.Add(1)))
		defer p.now.Add(-1)
		time.Sleep(delay)
		fmt.Fprint(w, p.posts.Add(1))
	}))
	t.Cleanup(p.Close)
	return p
}

type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func spawn(t *testing.T, o order, under ...string) *process {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	under = append(under, os.Args[0])
	cmd := exec.Command(under[0], under[1:]...)
	cmd.Env = append(os.Environ(), childVariable+"="+string(b), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() { p.kill() })
	p.expect("ready")
	return p
}

func (p *process) line() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatal("the process said nothing more")
	}
	return p.out.Text()
}

func (p *process) expect(want string) {
	p.t.Helper()
	if got := p.line(); got != want {
		p.t.Fatalf("the process said %q, want %q", got, want)
	}
}

func (p *process) push() { fmt.Fprintln(p.in) }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) end() {
	p.t.Helper()
	p.push()
	if p.out.Scan() {
		p.t.Errorf("at its end the process said %q", p.out.Text())
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(err)
	}
}

// rounds: replicasPostOnce has the hundred of a server.
func rounds() int {
	if onServer("") != "" {
		return 5
	}
	return 100
}

// TestEightProcessesPostOnce has 8 processes with 125 callers each refresh one
// expired token, a hundred tokens one after the other. Callers begin until long
// after the answer came, so that some have read the old token and come to the
// lock after the winner.
func TestEightProcessesPostOnce(t *testing.T) {
	dir, bank := folder(t), newProvider(t, 5*time.Millisecond)
	v := open(t, withKey(dir))
	var all []*process
	for range 8 {
		all = append(all, spawn(t, order{Do: "refresh each", Dir: dir, URL: bank.URL, Calls: 125}))
	}
	for _, p := range all {
		p.push()
	}
	for round := range rounds() {
		r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
		before := bank.posts.Load()
		for _, p := range all {
			fmt.Fprintln(p.in, r.Ref)
		}
		for _, p := range all {
			p.expect("125 have generation 2")
		}
		if n := bank.posts.Load() - before; n != 1 {
			t.Fatalf("round %d: %d posts, want 1", round, n)
		}
	}
	for _, p := range all {
		fmt.Fprintln(p.in, "")
		p.expect("done")
		p.end()
	}
}

// refreshEach refreshes each token that it is told of, with many callers.
func refreshEach(v *vault.Vault, o order, in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		ref := strings.TrimSpace(line)
		if err != nil || ref == "" {
			return err
		}
		var second atomic.Int64
		errs := make([]error, o.Calls)
		var all sync.WaitGroup
		for i := range o.Calls {
			all.Go(func() {
				time.Sleep(rand.N(15 * time.Millisecond))
				var r vault.Record
				if r, _, errs[i] = v.Refresh(context.Background(), me, ref, vault.Policy{}, postTo(o.URL)); r.Generation == 2 {
					second.Add(1)
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		fmt.Println(second.Load(), "have generation 2")
	}
}

// bank1 gives a token that is due at once, with a refresh token.
type bank1 struct{}

func (*bank1) mint(context.Context, vault.Record) (token.Token, error) {
	return token.Token{Access: secret.New("a"), Refresh: secret.New("r"), Expiry: token.ExpiresAt, ExpiresAt: time.Now()}, nil
}

func TestKilledAfterObtain(t *testing.T) {
	for _, grant := range []string{"client_credentials", "authorization_code", "password"} {
		t.Run(grant, func(t *testing.T) {
			dir, bank := folder(t), newProvider(t, 0)
			p := spawn(t, order{Do: "obtain", Dir: dir, URL: bank.URL, Grant: grant, Account: "a"})
			p.push()
			var ref string
			var generation int
			if _, err := fmt.Sscan(p.line(), &ref, &generation); err != nil {
				t.Fatal(err)
			}
			p.kill()
			got, err := open(t, withKey(dir)).Get(context.Background(), me, ref)
			if err != nil || got.Token.Access.Reveal() != "access 1" {
				t.Fatalf("%+v %v", got, err)
			}
		})
	}
}

func TestNewerTokenIsWrittenWithinASecond(t *testing.T) {
	dir, bank := folder(t), newProvider(t, 0)
	p := spawn(t, order{Do: "obtain", Dir: dir, URL: bank.URL, Grant: "client_credentials", Account: "a", Calls: 50})
	p.push()
	var ref string
	for range 50 {
		ref = strings.Fields(p.line())[0]
	}
	p.expect("done")
	time.Sleep(1200 * time.Millisecond) // the promise, and some for a busy machine
	p.kill()
	got, err := open(t, withKey(dir)).Get(context.Background(), me, ref)
	if err != nil || got.Generation != 50 || got.Token.Access.Reveal() != "access 50" {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestManyOpenANewVaultAtOnce(t *testing.T) {
	for range 5 {
		dir, bank := folder(t), newProvider(t, 0)
		var all []*process
		for range 6 {
			all = append(all, spawn(t, order{Do: "open", Dir: dir, URL: bank.URL, Grant: "client_credentials", Account: "a", Calls: 3}))
		}
		for _, p := range all {
			p.push()
		}
		refs := map[string]bool{}
		for _, p := range all {
			for range 3 {
				said := p.line()
				if !strings.HasPrefix(said, "tok_") {
					t.Fatalf("the process said %q", said)
				}
				refs[strings.Fields(said)[0]] = true
			}
			p.expect("done")
		}
		for _, p := range all {
			p.end()
		}
		if len(refs) != 1 {
			t.Fatalf("one identity got %d refs", len(refs))
		}
		v := open(t, withKey(dir))
		if s, err := v.Status(context.Background()); err != nil || s.Tokens[vault.Live] != 1 || s.SetAside != 0 {
			t.Fatalf("%+v %v", s, err)
		}
	}
}

// hanging is a process amid the refresh of ref.
func hanging(t *testing.T, dir, ref string) *process {
	t.Helper()
	p := spawn(t, order{Do: "hang", Dir: dir, Ref: ref})
	p.push()
	p.expect("minting")
	return p
}

func dieMinting(t *testing.T, p *process, dir string) {
	t.Helper()
	p.kill()
	if onServer(dir) != "" { // nothing there ends with a process: its lease runs out
		loseLocks(t, dir)
	}
}

func TestCutOffRefreshIsUncertainUntilTheNextSuccess(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
	p := hanging(t, dir, r.Ref)
	if got, err := v.Get(context.Background(), me, r.Ref); err != nil || got.State != vault.Live {
		t.Fatalf("a refresh under way is not uncertain: %+v %v", got, err)
	}
	dieMinting(t, p, dir)
	if s, err := v.Status(context.Background()); err != nil || s.Tokens[vault.Uncertain] != 1 {
		t.Fatalf("%+v %v", s, err)
	}
	got, err := v.Get(context.Background(), me, r.Ref)
	if err != nil || got.State != vault.Uncertain || got.Reason == "" {
		t.Fatalf("after the kill: %+v %v", got, err)
	}
	b := &bank{lifetime: time.Hour, refresh: true}
	got, _, err = v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, b.mint)
	if err != nil || got.State != vault.Live || got.Reason != "" {
		t.Fatalf("after a success: %+v %v", got, err)
	}
	if got, err = v.Get(context.Background(), me, r.Ref); err != nil || got.State != vault.Live {
		t.Fatalf("and stored: %+v %v", got, err)
	}
}

func TestALostAnswerIsNamed(t *testing.T) {
	dir := folder(t)
	v := open(t, withKey(dir))
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
	dieMinting(t, hanging(t, dir, r.Ref), dir)
	cut, err := v.Get(context.Background(), me, r.Ref)
	if err != nil {
		t.Fatal(err)
	}
	strict := &bank{}
	strict.fail.Store(fault.New(fault.Reauthorize, "dead", "consent"))
	for range 2 { // the second answer is the store's own
		_, _, err = v.Refresh(context.Background(), me, r.Ref, vault.Policy{Rotation: "strict"}, strict.mint)
		if code(err) != fault.Reauthorize || fault.From(err).Message != "dead; "+cut.Reason {
			t.Fatalf("got %v, want the attempt of %q", err, cut.Reason)
		}
	}
}
