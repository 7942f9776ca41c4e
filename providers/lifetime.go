package providers

import (
	"math"
	"strconv"
	"strings"
	"time"

	"bankauth/internal/token"
	"bankauth/schema"
)

// maxLife bounds a lifetime, so that a nonsensical one does not overflow.
const maxLife = 10 * 365 * 24 * time.Hour

// expiry reads when a token ends. A lifetime counts from asked, the moment
// before the request was sent, so that a token never lives longer for us than
// for its provider. One that is negative has ended; one that is not a number
// or a time is as good as missing.
func expiry(l schema.Lifetime, value []byte, asked time.Time) (token.Expiry, time.Time) {
	meaning := l.Missing
	if l.Unit == schema.UnitTime {
		if s, ok := text(value); ok {
			if at, err := time.Parse(time.RFC3339, s); err == nil {
				return token.ExpiresAt, clamp(at, asked)
			}
		}
	}
	if n, ok := number(value); ok {
		switch {
		case n == 0:
			meaning = l.Zero
		case l.Unit == schema.UnitTime:
			return token.ExpiresAt, clamp(unix(n), asked)
		default:
			return token.ExpiresAt, clamp(asked.Add(seconds(n)), asked)
		}
	}
	if meaning == string(token.Never) {
		return token.Never, time.Time{}
	}
	if l.Assume > 0 {
		return token.ExpiresAt, asked.Add(time.Duration(l.Assume) * time.Second)
	}
	return token.Unknown, time.Time{}
}

// number returns a JSON number, or a string that holds one.
func number(value []byte) (float64, bool) {
	s, quoted := text(value)
	if !quoted {
		s = string(value)
	}
	if s == "" || len(s) > 40 || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil || math.IsInf(n, 0)
}

func seconds(n float64) time.Duration {
	return time.Duration(min(max(n, 0), maxLife.Seconds()) * float64(time.Second))
}

func unix(n float64) time.Time {
	return time.Unix(int64(min(max(n, 0), 1e11)), 0)
}

// clamp keeps at between asked and asked plus maxLife.
func clamp(at, asked time.Time) time.Time {
	if at.Before(asked) {
		return asked
	}
	if last := asked.Add(maxLife); at.After(last) {
		return last
	}
	return at
}
