package vault

import (
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// TestAuditIsPruned writes more than is kept, in a few transactions.
func TestAuditIsPruned(t *testing.T) {
	o := Options{Dir: t.TempDir(), Key: Key{Value: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}}
	v, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	const many = auditKeep + 2*auditStep + 17
	for written := 0; written < many; written += 20_000 {
		entries(t, v, min(20_000, many-written))
	}
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r, err := VerifyAudit(t.Context(), o)
	if err != nil || len(r.Findings) > 0 || r.Pruned != 2*auditStep || r.First != 2*auditStep+1 || r.Last != many {
		t.Errorf("%+v %v", r, err)
	}
	t.Logf("%d entries verified in %v", r.Entries, time.Since(began))

	// Where an entry is gone nothing more is taken away: verify tells of it.
	if v, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	err = v.writer.do(true, func(tx *transaction) error {
		_, err := tx.exec(`DELETE FROM audit WHERE seq = ?`, 3*auditStep)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	entries(t, v, auditStep)
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err = VerifyAudit(t.Context(), o); err != nil || len(r.Findings) != 1 || r.Findings[0].Words != "entry 3000 is missing" || r.Pruned != 2*auditStep {
		t.Errorf("%+v %v", r, err)
	}
}

// TestTheAnchorWaitsForTheDisk: a power cut would make what is ahead of the
// disk look like a store that was put back.
func TestTheAnchorWaitsForTheDisk(t *testing.T) {
	v, err := Open(t.Context(), Options{Dir: t.TempDir() + "/vault", Key: Key{Value: secret.New("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")}})
	if err != nil {
		t.Fatal(err)
	}
	for i, durable := range []bool{true, false, true} {
		err := v.writer.do(durable, func(tx *transaction) error { return v.audit(tx, event{what: auditRenewed}) })
		if want := []int64{1, 1, 3}[i]; err != nil || v.writer.chain.durable().seq != want {
			t.Errorf("after %d: %d on the disk, want %d; %v", i+1, v.writer.chain.durable().seq, want, err)
		}
	}
	if err := v.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func entries(t *testing.T, v *Vault, n int) {
	t.Helper()
	err := v.writer.do(true, func(tx *transaction) error {
		for range n {
			if err := v.audit(tx, event{what: auditRenewed, code: fault.Busy}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
