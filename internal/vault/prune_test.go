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
	for written := 0; written < many; {
		n := min(20_000, many-written)
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
		written += n
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
}
