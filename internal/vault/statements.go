package vault

// The statements that both dialects understand. A "?" is a parameter; a
// dialect that spells parameters otherwise rewrites it.

const rowColumns = `SELECT r.ref, r.kind, r.lookup, r.key_id, r.seq, r.state, r.sealed, a.id, a.op, a.state, a.since, a.until, a.tries, a.code FROM records r
	LEFT JOIN attempts a ON a.name = r.ref `

const (
	selectByRef    = rowColumns + `WHERE r.ref = ?`
	selectByLookup = rowColumns + `WHERE r.lookup = ?`
	selectByOwner  = rowColumns + `WHERE r.owner = ? ORDER BY r.created, r.ref`
	selectAll      = rowColumns + `ORDER BY r.ref`
	selectSuspects = rowColumns + `WHERE r.state = 'suspect' ORDER BY r.ref`
	selectSeq      = `SELECT seq FROM records WHERE ref = ?`

	insertRecord = `INSERT INTO records (ref, kind, owner, lookup, key_id, seq, state, created, updated, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateRecord   = `UPDATE records SET key_id = ?, seq = ?, state = ?, updated = ?, sealed = ? WHERE ref = ? AND seq = ?`
	resealRecord   = `UPDATE records SET key_id = ?, seq = ?, sealed = ? WHERE ref = ? AND seq = ?`
	deleteRecord   = `DELETE FROM records WHERE ref = ?`
	countRecords   = `SELECT count(*) FROM records`
	displaceRecord = `UPDATE records SET lookup = NULL, state = 'set_aside' WHERE ref = ?`

	selectAttempt = `SELECT id, op, state, ref, tries, since, until, code FROM attempts WHERE name = ?`
	beginAttempt  = `INSERT INTO attempts (name, op, id, state, ref, owner, tries, since, until, code)
		VALUES (?, ?, ?, 'pending', ?, '', 1, ?, ?, '')
		ON CONFLICT (name) DO UPDATE SET op = excluded.op, id = excluded.id, state = excluded.state,
		tries = attempts.tries + 1, until = excluded.until, code = ''`
	keepAttempt = `INSERT INTO attempts (name, op, id, state, ref, owner, tries, since, until, code) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO NOTHING`
	selectAllTexts = `SELECT name, id, 0, 0, ref FROM attempts WHERE op IN ('user', 'consent', 'answer') ORDER BY name`
	countAttempts  = `SELECT count(*) FROM attempts WHERE state = ?`
	updateText     = `UPDATE attempts SET ref = ? WHERE name = ? AND ref = ?`
	coolAttempt    = `UPDATE attempts SET state = ?, until = ?, code = ? WHERE name = ? AND id = ?`
	doneAttempt    = `UPDATE attempts SET state = 'done', until = ? WHERE name = ?`
	endAttempt     = `DELETE FROM attempts WHERE name = ?`
	endOwnAttempt  = `DELETE FROM attempts WHERE name = ? AND id = ?`
	hearAttempt    = `UPDATE attempts SET state = 'heard' WHERE name = ? AND state = 'done'`
	endHeard       = `DELETE FROM attempts WHERE name = ? AND state = 'done'`
	endAttempts    = `DELETE FROM attempts WHERE (state IN ('done', 'heard') AND until < ?) OR (op <> 'refresh' AND since < ?)`

	countNotes  = `SELECT count(*) FROM attempts WHERE op = ? AND owner = ? AND state = ? AND until > ?`
	changeNote  = `UPDATE attempts SET id = ?, state = ?, ref = ?, since = ?, until = ? WHERE name = ? AND id = ?`
	endLateNote = `DELETE FROM attempts WHERE name = ? AND until <= ?`
	endNotes    = `DELETE FROM attempts WHERE op IN ('consent', 'answer') AND until <= ?`
	trimAnswers = `DELETE FROM attempts WHERE name IN (SELECT name FROM (SELECT name,
		row_number() OVER (PARTITION BY owner ORDER BY since DESC, name) AS of_one, row_number() OVER (ORDER BY since DESC, name) AS of_all
		FROM attempts WHERE op = 'answer' AND state = 'settled') AS kept WHERE of_one > ? OR of_all > ?)`

	selectCandidates    = `SELECT id, key_id, sealed FROM candidates WHERE ref = ? ORDER BY taken, id`
	insertCandidate     = `INSERT INTO candidates (ref, id, key_id, taken, sealed) VALUES (?, ?, ?, ?, ?) ON CONFLICT (ref, id) DO NOTHING`
	selectAllCandidates = `SELECT ref, id, key_id, 0, sealed FROM candidates ORDER BY ref, id`
	updateCandidate     = `UPDATE candidates SET key_id = ?, sealed = ? WHERE ref = ? AND id = ?`
	deleteCandidate     = `DELETE FROM candidates WHERE ref = ? AND id = ?`
	deleteCandidates    = `DELETE FROM candidates WHERE ref = ?`
	countCandidates     = `SELECT count(*) FROM candidates`

	selectPassword    = `SELECT key_id, seq, sealed FROM passwords WHERE lookup = ? AND state = ?`
	selectPasswordSeq = `SELECT seq FROM passwords WHERE lookup = ? AND state = ?`
	upsertPassword    = `INSERT INTO passwords (lookup, state, key_id, seq, created, sealed) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (lookup, state) DO UPDATE SET key_id = excluded.key_id, seq = excluded.seq, created = excluded.created, sealed = excluded.sealed`
	selectAllPasswords = `SELECT state, lookup, key_id, seq, sealed FROM passwords ORDER BY lookup, state`
	updatePassword     = `UPDATE passwords SET key_id = ?, seq = ?, sealed = ? WHERE lookup = ? AND state = ? AND seq = ?`
	deletePassword     = `DELETE FROM passwords WHERE lookup = ? AND state = ?`
	deletePasswords    = `DELETE FROM passwords WHERE lookup = ?`
	countPasswords     = `SELECT count(DISTINCT lookup) FROM passwords`

	insertAudit = `INSERT INTO audit (seq, at, event, ref, attempt, generation, code, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	selectAudit = `SELECT seq, at, event, ref, attempt, generation, code, mac FROM audit WHERE seq > ? ORDER BY seq LIMIT 1000`
	pruneAudit  = `DELETE FROM audit WHERE seq <= ?`

	selectMeta  = `SELECT name, value FROM meta`
	selectValue = `SELECT value FROM meta WHERE name = ?`
	insertMeta  = `INSERT INTO meta (name, value) VALUES (?, ?)`
	putMeta     = `INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	updateMeta  = `UPDATE meta SET value = ? WHERE name = ?`

	selectKeys = `SELECT id, state, wrapped FROM data_keys ORDER BY id`
	updateKey  = `UPDATE data_keys SET state = ?, wrapped = ? WHERE id = ?`
	insertKey  = `INSERT INTO data_keys (id, state, wrapped) VALUES (?, ?, ?)`

	commitWrite = `COMMIT`
	undoWrite   = `ROLLBACK`
)
