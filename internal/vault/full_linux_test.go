package vault_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/internal/vault"
)

// small is a folder on a file system of its own, of four megabytes.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mounting a small file system: %v", err)
		}
		t.Skipf("needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for size := 1 << 16; size > 0; {
		if _, err := w.Write(make([]byte, size)); err != nil {
			size /= 16
		}
	}
}

// TestADiskThatFillsUpUnderAnAnswer: the reserve makes room for what came, and
// nothing more is sent until there is a reserve again.
func TestADiskThatFillsUpUnderAnAnswer(t *testing.T) {
	dir := small(t)
	v := open(t, withKey(dir+"/vault"))
	b := &bank{lifetime: time.Minute, refresh: true}
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint)
	got, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, func(ctx context.Context, old vault.Record) (token.Token, error) {
		fill(t, dir+"/others")
		return b.mint(ctx, old)
	})
	if err != nil || got.Generation != 2 {
		t.Fatalf("the answer was not stored: %+v %v", got, err)
	}
	if stored, err := v.Get(context.Background(), me, r.Ref); err != nil || !stored.Token.Refresh.Equal(got.Token.Refresh) {
		t.Fatalf("%v", err)
	}
	fill(t, dir+"/more")
	posts := b.posts.Load()
	if _, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, b.mint); code(err) != fault.VaultUnavailable || b.posts.Load() != posts {
		t.Fatalf("without a reserve: %v, %d posts", err, b.posts.Load()-posts)
	}
	for _, name := range []string{"/others", "/more"} {
		if err := os.Remove(dir + name); err != nil {
			t.Fatal(err)
		}
	}
	if got, _, err := v.Refresh(context.Background(), me, r.Ref, vault.Policy{}, b.mint); err != nil || got.Generation != 3 {
		t.Fatalf("with room again: %+v %v", got, err)
	}
}
