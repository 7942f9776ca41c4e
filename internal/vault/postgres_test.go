//go:build unix

package vault_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"bankauth/internal/testdb"
)

const storeVariable = "BANKAUTH_VAULT_TEST_STORE" // a server's address, where the suite is to use one

// aboutFiles are the tests that look at SQLite's files, or at a vault that
// never lies in a database. All others run on PostgreSQL too.
var aboutFiles = []string{
	"TestOnPostgreSQL", "TestModel", "TestNothingInClear", "TestDefaultKeyFile", "TestEphemeral", "TestRefusals", "TestAnEmptyFolder", "TestOnlyTheKeyring",
	"TestRefusedAfterAKill", "TestDamage.*", "TestReadOnlyFolder", "TestSyncedBeforeSentAndBeforeSaid", "TestADiskThatFillsUpUnderAnAnswer",
	"TestNothingIsSentWhereNothingCanBeStored", "TestAStorePutBackIsNoticed", "TestAStoreThatIsGone", "TestARestoreThatIsCutOff", "TestRestoreWhereTheLiveOneIsOlder", "TestCost.*", "TestCheckFinds",
	"TestTheNewerStateStays", "TestAnEntryOfAFork", "TestWhatIsDoubted",
	"TestKeyring.*", "TestNoAuditNoChange", "TestRekeyThatFails", "TestWhatIsWrittenDuringARekey", "TestATokenWhoseSuccessorIsInMemory", // the last four are said by a trigger in SQLite's words
}

// worded puts what tests do behind SQLite's back into PostgreSQL's words.
func worded(statement string) string {
	statement = regexp.MustCompile(`zeroblob\((\d+)\)`).ReplaceAllString(statement, `decode(repeat('00', $1), 'hex')`)
	return regexp.MustCompile(`\bx'([0-9a-f]*)'`).ReplaceAllString(statement, `decode('$1', 'hex')`)
}

// TestOnPostgreSQL runs what needs a server of its own, and the suite itself
// on it: once straight, once through a proxy that pools transactions.
func TestOnPostgreSQL(t *testing.T) {
	db := testdb.Postgres(t)
	pooled := testdb.PgBouncer(t, db)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, db testdb.Server)
	}{
		{"suite", suiteOn}, {"replicas", replicasPostOnce}, {"a lease is lost", leaseIsLost}, {"cut connections", cutConnections},
		{"outage", outage}, {"ended sessions", endedSessions},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, db) })
		t.Run(c.name+", pooled", func(t *testing.T) { c.run(t, pooled) })
	}
	t.Run("refusals", func(t *testing.T) { serverRefusals(t, db) })
	t.Run("move", func(t *testing.T) { moveBetweenStores(t, db) })
	t.Run("rekeyed elsewhere", func(t *testing.T) { rekeyedElsewhere(t, db) })
	t.Run("nothing in clear", func(t *testing.T) { nothingInClearOnServer(t, db) })
}

// suiteOn runs this package's tests in a process of their own, with the store
// on the server. They wait more than they work, so both suites run at once.
func suiteOn(t *testing.T, db testdb.Server) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.v", "-test.timeout=10m", "-test.run=^Test", "-test.skip=^("+strings.Join(aboutFiles, "|")+")$")
	cmd.Env = append(os.Environ(), storeVariable+"="+db.Address(""))
	out, err := cmd.CombinedOutput()
	passed := len(regexp.MustCompile(`(?m)^--- PASS`).FindAll(out, -1))
	if err != nil || passed < 25 || strings.Contains(string(out), "--- SKIP") {
		t.Fatalf("%v, %d passed:\n%s", err, passed, out)
	}
	t.Logf("%d tests", passed)
}

// onServer is the address of the database that stands for a folder; "" where
// the suite is on SQLite.
func onServer(dir string) string {
	base := os.Getenv(storeVariable)
	if base == "" {
		return ""
	}
	return base + databaseFor(dir)
}

func databaseFor(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "t" + hex.EncodeToString(sum[:8])
}
