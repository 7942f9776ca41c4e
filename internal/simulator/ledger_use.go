package simulator

// look returns who an access token belongs to, if it is alive.
func (l *ledger) look(token string) (subject, scope string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.live(l.access[token])
	if a == nil {
		return "", "", false
	}
	return a.subject, a.scope, true
}

// alive reports whether token is an access or refresh token that may be used now.
func (l *ledger) alive(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live(l.access[token]) != nil {
		return true
	}
	line := l.refresh[token]
	return line != nil && l.usable(line)
}

// holder returns the user that a refresh token belongs to, or "".
func (l *ledger) holder(refresh string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line := l.refresh[refresh]; line != nil {
		return line.grant.subject
	}
	return ""
}

// end revokes the grant that an access or refresh token belongs to, and a
// client's own token by itself. With only, nothing but that access token dies.
func (l *ledger) end(token string, only bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line := l.refresh[token]; line != nil {
		if only {
			return false
		}
		l.revoke(line.grant)
		return true
	}
	a := l.live(l.access[token])
	if a == nil {
		return false
	}
	if a.grant != nil && !only {
		l.revoke(a.grant)
	}
	l.kill(a)
	return true
}

// endUser revokes every grant of a user.
func (l *ledger) endUser(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.grants {
		if g.subject == subject {
			l.revoke(g)
		}
	}
}

// enter notes that a refresh token is being posted, leave that the answer is out.
func (l *ledger) enter(token string) *generation {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.refresh[token]
	if line == nil {
		l.unknown++
		return nil
	}
	line.posts++
	line.grant.posts++
	line.inFlight++
	if line.inFlight > 1 {
		line.overlaps++
		line.grant.overlaps++
	}
	return line
}

func (l *ledger) leave(line *generation) {
	if line == nil {
		return
	}
	l.mu.Lock()
	line.inFlight--
	l.mu.Unlock()
}

// write issues a code.
func (l *ledger) write(c *code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.expires = l.now().Add(l.policy.codeLife)
	l.codes[c.text] = c
	l.issued = append(l.issued, c)
	if len(l.issued) > l.policy.capacity {
		delete(l.codes, l.issued[0].text)
		l.issued = l.issued[1:]
	}
}

// redeem spends a code and opens the grant it stands for, in one step, so that
// of two who post the same code one only is served. fits says whether the
// request goes with the code; where it does not, the code is left as it was.
func (l *ledger) redeem(text string, f func(subject string) fresh, fits func(*code) bool) (pair, bool) {
	l.mu.Lock()
	c := l.codes[text]
	if c == nil || c.used || !l.now().Before(c.expires) {
		if c != nil && c.used && c.grant != nil && l.policy.reuseCode == "revoke" {
			l.revoke(c.grant)
		}
		l.mu.Unlock()
		return pair{}, false
	}
	if !fits(c) {
		l.mu.Unlock()
		return pair{}, false
	}
	c.used = true
	subject, scope := c.subject, c.scope
	l.mu.Unlock()

	made := f(subject) // signing takes its time

	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.open("authorization_code", subject, scope, made)
	c.grant = l.refresh[made.refresh].grant
	return p, true
}
