package vault

import (
	"context"
	"time"

	"bankauth/internal/fault"
)

// doubted is the reason of a suspect record, in every case.
const doubted = "it comes from a copy of the vault and may have been renewed since the copy was made"

// doubt marks every record whose refresh token may have been spent since the
// store was copied. Those without one can be had again as they were.
func (v *Vault) doubt() error {
	return v.writer.do(true, func(t *transaction) error {
		rows, err := rowsOf(t, selectAll)
		if err != nil {
			return err
		}
		for _, r := range rows {
			rec, err := v.open(r)
			if err != nil || !rec.doubtful() {
				continue // one that does not open is set aside as it is
			}
			rec = v.suspect(rec)
			if _, err := v.rewrite(t, r, rec); err != nil {
				return err
			}
			if err := v.audit(t, event{what: auditDoubted, ref: rec.Ref, generation: rec.Generation}); err != nil {
				return err
			}
		}
		return nil
	})
}

// doubtful reports that a copy of the record must not be used unasked.
func (r Record) doubtful() bool {
	return r.Identity.Grant != grantClient && !r.Token.Refresh.IsZero() && (r.State == Live || r.State == Uncertain)
}

func (v *Vault) suspect(rec Record) Record {
	rec.State, rec.Reason = Suspect, doubted
	rec.Updated = v.now().UTC().Truncate(time.Millisecond)
	return rec
}

// Accept lets suspect records be refreshed again, whoever they belong to; no
// refs: all of them. It returns the refs of those that were suspect. A ref that
// is unknown, and one that is not suspect, is an InvalidArgument fault, and
// then nothing has changed.
func (v *Vault) Accept(ctx context.Context, refs ...string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	leave, err := v.ready()
	if err != nil {
		return nil, err
	}
	defer leave()
	var accepted []string
	err = v.writer.do(true, func(t *transaction) error {
		accepted = nil
		rows, err := suspects(t, refs)
		if err != nil {
			return err
		}
		for _, r := range rows {
			rec, err := v.open(r)
			switch {
			case len(refs) > 0 && err != nil:
				return setAside()
			case err != nil:
				continue
			case rec.State != Suspect:
				return fault.New(fault.InvalidArgument, "the token "+r.ref+" is not suspect", "`bankauth tokens list` shows the states")
			}
			rec.State, rec.Reason = Live, ""
			rec.Updated = v.now().UTC().Truncate(time.Millisecond)
			if _, err := v.rewrite(t, r, rec); err != nil {
				return err
			}
			if err := v.audit(t, event{what: auditAccepted, ref: rec.Ref, generation: rec.Generation}); err != nil {
				return err
			}
			accepted = append(accepted, r.ref)
		}
		return nil
	})
	if err != nil {
		return nil, storeFault(err)
	}
	return accepted, nil
}

func suspects(q querier, refs []string) ([]row, error) {
	if len(refs) == 0 {
		return rowsOf(q, selectSuspects)
	}
	var all []row
	for _, ref := range refs {
		if !validRef(ref) {
			return nil, unknownRef()
		}
		r, there, err := one(q, selectByRef, ref)
		if err != nil {
			return nil, err
		}
		if !there {
			return nil, unknownRef()
		}
		all = append(all, r)
	}
	return all, nil
}
