//go:build unix

package vault_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/testdb"
	"bankauth/internal/vault"
)

// filled makes a vault with a few records, closed and at rest.
func filled(t testing.TB) (dir string, refs []string) {
	t.Helper()
	dir = folder(t)
	v, err := vault.Open(context.Background(), withKey(dir))
	if err != nil {
		t.Fatal(err)
	}
	b := &bank{lifetime: time.Hour, refresh: true}
	for i := range 6 {
		refs = append(refs, obtain(t, v, identity("authorization_code", ""), vault.Policy{}, b.mint).Ref,
			obtain(t, v, identity("client_credentials", fmt.Sprint(i)), vault.Policy{}, b.mint).Ref)
	}
	shut(t, v)
	return dir, refs
}

// contents are the folder's files, byte for byte.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	delete(all, dir+"/vault.db-shm") // an index of the journal that every look makes anew
	return all
}

// mustRefuse opens and inspects, and looks whether anything has changed.
func mustRefuse(t *testing.T, o vault.Options, hint string) {
	t.Helper()
	before := contents(t, o.Dir)
	v, err := vault.Open(context.Background(), o)
	if err == nil {
		shut(t, v)
		t.Error("it was opened")
		return
	}
	_, ierr := vault.Inspect(context.Background(), o)
	for _, err := range []error{err, ierr} {
		var f *fault.Fault
		if !errors.As(err, &f) || f.Code != fault.VaultUnavailable || f.Message == "" || f.Retryable() || !strings.Contains(f.Hint, hint) {
			t.Errorf("refused with %#v, want it final with a hint that has %q", err, hint)
		}
	}
	after := contents(t, o.Dir)
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s has changed", filepath.Base(path))
		}
		delete(after, path)
	}
	for path := range after {
		t.Errorf("%s was made", filepath.Base(path))
	}
}

func TestRefusals(t *testing.T) {
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for name, c := range map[string]struct {
		spoil func(t *testing.T, o *vault.Options)
		hint  string
	}{
		"wrong key":          {func(t *testing.T, o *vault.Options) { o.Key.Value = secret.New(other) }, "key that this vault was made with"},
		"no key":             {func(t *testing.T, o *vault.Options) { o.Key = vault.Key{} }, "BANKAUTH_VAULT_KEY"},
		"short key":          {func(t *testing.T, o *vault.Options) { o.Key.Value = secret.New("c2hvcnQ=") }, "openssl rand"},
		"not in the keyring": {func(t *testing.T, o *vault.Options) { o.Key = vault.Key{Keyring: true} }, "unset BANKAUTH_VAULT_KEY"},
		"two keys":           {func(t *testing.T, o *vault.Options) { o.Key.File = "x" }, "only one"},
		"missing key file": {func(t *testing.T, o *vault.Options) {
			o.Key = vault.Key{File: filepath.Join(t.TempDir(), "none")}
		}, "put the key back"},
		"open key file": {func(t *testing.T, o *vault.Options) {
			path := filepath.Join(t.TempDir(), "key")
			write(t, path, keyText, 0o640)
			o.Key = vault.Key{File: path}
		}, "chmod 600"},
		"key file is a link": {func(t *testing.T, o *vault.Options) {
			dir := t.TempDir()
			write(t, dir+"/key", keyText, 0o600)
			if err := os.Symlink(dir+"/key", dir+"/link"); err != nil {
				t.Fatal(err)
			}
			o.Key = vault.Key{File: dir + "/link"}
		}, "plain file"},
		"open folder":   {func(t *testing.T, o *vault.Options) { chmod(t, o.Dir, 0o750) }, "chmod 700"},
		"open file":     {func(t *testing.T, o *vault.Options) { chmod(t, o.Dir+"/vault.db", 0o604) }, "chmod 600"},
		"newer schema":  {func(t *testing.T, o *vault.Options) { alter(t, o.Dir, `PRAGMA user_version = 4`) }, "later"},
		"older schema":  {func(t *testing.T, o *vault.Options) { alter(t, o.Dir, `PRAGMA user_version = 2`) }, "another folder"},
		"another's":     {func(t *testing.T, o *vault.Options) { alter(t, o.Dir, `PRAGMA application_id = 1`) }, "another folder"},
		"empty file":    {func(t *testing.T, o *vault.Options) { write(t, o.Dir+"/vault.db", "", 0o600) }, "backup"},
		"not a store":   {func(t *testing.T, o *vault.Options) { write(t, o.Dir+"/vault.db", strings.Repeat("x", 9000), 0o600) }, "backup"},
		"data key gone": {func(t *testing.T, o *vault.Options) { alter(t, o.Dir, `DELETE FROM data_keys`) }, "backup"},
		"data key flipped": {func(t *testing.T, o *vault.Options) {
			alter(t, o.Dir, `UPDATE data_keys SET wrapped = zeroblob(60)`)
		}, "backup"},
		"audit's head changed": {func(t *testing.T, o *vault.Options) {
			alter(t, o.Dir, `UPDATE meta SET value = zeroblob(72) WHERE name = 'audit_head'`)
		}, "audit verify"},
		"audit's head changed, no anchor": {func(t *testing.T, o *vault.Options) {
			alter(t, o.Dir, `UPDATE meta SET value = zeroblob(72) WHERE name = 'audit_head'`)
			remove(t, o.Dir+"/vault.head")
		}, "audit verify"},
		"file gone, journal there": {func(t *testing.T, o *vault.Options) {
			if err := os.Rename(o.Dir+"/vault.db", o.Dir+"/vault.db-wal"); err != nil {
				t.Fatal(err)
			}
		}, "journal"},
		"file gone": {func(t *testing.T, o *vault.Options) { remove(t, o.Dir+"/vault.db") }, "bankauth vault restore FILE"},
		"file gone, anchor empty": {func(t *testing.T, o *vault.Options) {
			remove(t, o.Dir+"/vault.db")
			write(t, o.Dir+"/vault.head", "", 0o600)
		}, "start anew"},
		"file and anchor gone, answers there": {func(t *testing.T, o *vault.Options) {
			remove(t, o.Dir+"/vault.db")
			remove(t, o.Dir+"/vault.head")
			if err := os.Mkdir(o.Dir+"/spill", 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, o.Dir+"/spill/answer", "x", 0o600)
		}, "spill"},
		"folder is a file": {func(t *testing.T, o *vault.Options) {
			o.Dir = filepath.Join(t.TempDir(), "file")
			write(t, o.Dir, "", 0o600)
		}, "another folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := filled(t)
			o := withKey(dir)
			c.spoil(t, &o)
			mustRefuse(t, o, c.hint)
		})
	}
}

// TestAStoreThatIsGone comes back from a backup, or the operator says that it
// is to be forgotten.
func TestAStoreThatIsGone(t *testing.T) {
	dir, _ := filled(t)
	path := backUp(t, open(t, withKey(dir)))
	remove(t, dir+"/vault.db")
	if r, err := vault.Restore(t.Context(), withKey(dir), path); err != nil || !r.Made || r.Inserted != 12 || len(r.Suspect) != 6 {
		t.Errorf("restore: %+v %v", r, err)
	}
	remove(t, dir+"/vault.db")
	mustRefuse(t, withKey(dir), dir)
	if err := os.Rename(dir+"/vault.head", t.TempDir()+"/vault.head"); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), withKey(dir))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := v.Status(t.Context()); err != nil || len(s.Tokens) != 0 {
		t.Errorf("anew: %+v %v", s, err)
	}
	shut(t, v)
}

// TestAnEmptyFolder is closed to others, as mkdir does not.
func TestAnEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o755)
	if s, err := vault.Inspect(t.Context(), withKey(dir)); err != nil || s.Made {
		t.Fatalf("Inspect: %+v, %v", s, err)
	}
	v, err := vault.Open(t.Context(), withKey(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
}

// TestRefusedAfterAKill has a journal with all the records in it.
func TestRefusedAfterAKill(t *testing.T) {
	dir, bank := folder(t), newProvider(t, 0)
	p := spawn(t, order{Do: "obtain", Dir: dir, URL: bank.URL, Grant: "authorization_code", Calls: 3})
	p.push()
	ref := strings.Fields(p.line())[0]
	p.line()
	p.line()
	p.kill()
	if len(contents(t, dir)[dir+"/vault.db-wal"]) == 0 {
		t.Fatal("there is no journal: this test could not fail")
	}
	o := withKey(dir)
	o.Key.Value = secret.New(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	mustRefuse(t, o, "made with")
	if err := os.Remove(dir + "/vault.db-shm"); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, o, "made with")
	if s, err := vault.Inspect(context.Background(), withKey(dir)); err != nil || s.Tokens[vault.Live] != 3 {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := open(t, withKey(dir)).Get(context.Background(), me, ref); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, mode)
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// alter changes the store behind the vault's back.
func alter(t testing.TB, dir string, statements ...string) {
	t.Helper()
	if address := onServer(dir); address != "" {
		for _, s := range statements {
			testdb.Exec(t, address, worded(s))
		}
		return
	}
	db := behind(t, dir)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// behind opens SQLite's file behind the vault's back, until the test ends.
func behind(t testing.TB, dir string) *sql.DB {
	t.Helper()
	// A path with odd letters is no address; a link without them is.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", link+"/vault.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestSwappedTextsDoNotOpen(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want fault.Code
	}{
		"sealed texts": {`UPDATE records SET sealed = (SELECT sealed FROM records WHERE ref = '%[2]s'), seq = (SELECT seq FROM records WHERE ref = '%[2]s') WHERE ref = '%[1]s'`, fault.Reauthorize},
		"sequence":     {`UPDATE records SET seq = seq + 1 WHERE ref = '%[1]s'`, fault.Reauthorize},
		"data key":     {`UPDATE records SET key_id = 7 WHERE ref = '%[1]s'`, fault.Reauthorize},
		"kind":         {`UPDATE records SET kind = 'password' WHERE ref = '%[1]s'`, fault.Reauthorize},
		"ref":          {`UPDATE records SET ref = 'tok_' || substr(ref, 5, 31) || CASE substr(ref, 36) WHEN 'a' THEN 'b' ELSE 'a' END WHERE ref = '%[1]s'`, fault.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			dir, refs := filled(t)
			alter(t, dir, fmt.Sprintf(c.sql, refs[0], refs[2]))
			v := open(t, withKey(dir))
			if _, err := v.Get(context.Background(), me, refs[0]); code(err) != c.want {
				t.Errorf("Get: %v", err)
			}
			all, err := v.List(context.Background(), me)
			if err != nil || len(all) != len(refs)-1 {
				t.Errorf("the others go on: %d of %d, %v", len(all), len(refs), err)
			}
			if s, err := v.Status(context.Background()); err != nil || s.SetAside != 1 {
				t.Errorf("%+v %v", s, err)
			}
		})
	}
}

func TestASwappedLookupLeadsNowhere(t *testing.T) {
	dir, refs := filled(t)
	alter(t, dir, fmt.Sprintf(`CREATE TEMP TABLE l AS SELECT lookup FROM records WHERE ref = '%[1]s';
		UPDATE records SET lookup = NULL WHERE ref = '%[1]s';
		UPDATE records SET lookup = (SELECT lookup FROM l) WHERE ref = '%[2]s'`, refs[1], refs[3]))
	v := open(t, withKey(dir))
	b := &bank{lifetime: time.Hour}
	r := obtain(t, v, identity("client_credentials", "0"), vault.Policy{}, b.mint)
	if r.Ref == refs[3] || r.Identity.Account != "0" || b.posts.Load() != 1 {
		t.Errorf("another identity's token was handed out: %+v", r)
	}
}

func TestADamagedClientRecordIsReplaced(t *testing.T) {
	dir, refs := filled(t)
	alter(t, dir, `UPDATE records SET seq = seq + 7 WHERE ref = '`+refs[1]+`'`)
	v := open(t, withKey(dir))
	r := obtain(t, v, identity("client_credentials", "0"), vault.Policy{}, (&bank{lifetime: time.Hour}).mint)
	if r.Ref == refs[1] {
		t.Error("a damaged record was written over")
	}
	if s, err := v.Status(context.Background()); err != nil || s.SetAside != 1 || s.Tokens[vault.Live] != len(refs) {
		t.Errorf("%+v %v", s, err)
	}
}

// TestReadOnlyFolder runs a process that is not root, to which modes mean
// something.
func TestReadOnlyFolder(t *testing.T) {
	dir, _ := filled(t)
	exe := os.Args[0]
	var as *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		b, err := os.ReadFile(exe)
		if err != nil {
			t.Fatal(err)
		}
		home := t.TempDir()
		exe = home + "/vault.test"
		write(t, exe, string(b), 0o755)
		chmod(t, filepath.Dir(home), 0o755)
		chmod(t, filepath.Dir(filepath.Dir(dir)), 0o755)
		err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, 65534, 65534))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	try := func() string {
		o, err := json.Marshal(order{Do: "open", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Env, cmd.Dir, cmd.SysProcAttr = append(os.Environ(), childVariable+"="+string(o)), "/", as
		cmd.Stdin = strings.NewReader("\n\n")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	before := contents(t, dir)
	chmod(t, dir, 0o500)
	if out := try(); !strings.Contains(out, "open: vault_unavailable") || !strings.Contains(out, "written") {
		t.Errorf("a read-only folder: %q", out)
	}
	if after := contents(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("something has changed")
	}
	chmod(t, dir, 0o700)
	if out := try(); strings.Contains(out, "open:") {
		t.Errorf("and writable: %q", out)
	}
	if os.Geteuid() == 0 { // as root we are not the folder's owner now
		mustRefuse(t, withKey(dir), "owner")
	}
}

// TestNothingIsSentWhereNothingCanBeStored: the intent is what finds out.
func TestNothingIsSentWhereNothingCanBeStored(t *testing.T) {
	dir, bank := folder(t), newProvider(t, 0)
	v := open(t, withKey(dir))
	r := obtain(t, v, identity("authorization_code", ""), vault.Policy{}, (&bank1{}).mint)
	p := spawn(t, order{Do: "full", Dir: dir, Ref: r.Ref, URL: bank.URL})
	p.push()
	if got := p.line(); !strings.Contains(got, "failed: vault_unavailable") {
		t.Errorf("the process said %q", got)
	}
	if n := bank.posts.Load(); n != 0 {
		t.Errorf("%d posts, want none", n)
	}
	if got, err := v.Get(context.Background(), me, r.Ref); err != nil || got.State != vault.Live || got.Generation != 1 {
		t.Errorf("%+v %v", got, err)
	}
}
