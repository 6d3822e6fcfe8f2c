package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// levelTrace is below debug, as in the plugin protocol.
const levelTrace = slog.LevelDebug - 4

// The limits of what is taken from a plugin's log.
const (
	maxLineBytes = 64 << 10
	maxAttrs     = 32
	maxAttrBytes = 1024
)

var levels = []struct {
	name  string
	level slog.Level
}{{"trace", levelTrace}, {"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError}}

// pluginLog makes records of what a plugin writes to standard error.
type pluginLog struct {
	to      *slog.Logger
	inPanic bool // the lines of a stack follow

	mu       sync.Mutex
	last     string // line that says something
	panicked string // the first line of a stack
}

// copy logs lines until the end of r. A line that is too long is cut.
func (l *pluginLog) copy(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxLineBytes)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			l.line(text)
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line
			_, err = lines.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

func (l *pluginLog) line(text string) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	r, ok := parseJSON(text)
	if !ok {
		r = l.parseText(text)
	}
	if !ok || r.Level >= slog.LevelWarn { // what a plugin chats about explains nothing
		l.mu.Lock()
		l.last = r.Message
		l.mu.Unlock()
	}
	if ctx := context.Background(); l.to.Enabled(ctx, r.Level) {
		_ = l.to.Handler().Handle(ctx, r) // a log that cannot be written cannot be reported either
	}
}

// parseJSON reads a line in the manner of hclog; false when it is no such line.
func parseJSON(text string) (slog.Record, bool) {
	var fields map[string]any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &fields) != nil {
		return slog.Record{}, false
	}
	message, ok := fields["@message"].(string)
	if !ok {
		return slog.Record{}, false
	}
	at := time.Now()
	if s, ok := fields["@timestamp"].(string); ok {
		if t, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", s); err == nil {
			at = t
		}
	}
	level := slog.LevelDebug
	for _, v := range levels {
		if s, ok := fields["@level"].(string); ok && s == v.name {
			level = v.level
		}
	}
	r := slog.NewRecord(at, level, cut(message, maxLineBytes), 0)
	for i, key := range slices.Sorted(maps.Keys(fields)) {
		if i < maxAttrs && !strings.HasPrefix(key, "@") {
			r.AddAttrs(slog.Any(cut(key, maxAttrBytes), short(fields[key])))
		}
	}
	return r, true
}

// short keeps numbers and booleans and cuts everything else, written as JSON unless it is a string.
func short(v any) any {
	switch v := v.(type) {
	case string:
		return cut(v, maxAttrBytes)
	case bool, float64, nil:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return cut(string(text), maxAttrBytes)
}

func (l *pluginLog) parseText(text string) slog.Record {
	level := slog.LevelDebug
	if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
		l.inPanic = true
		l.mu.Lock()
		l.panicked = text
		l.mu.Unlock()
	}
	if l.inPanic {
		level = slog.LevelError
	}
	for _, v := range levels {
		if rest, ok := strings.CutPrefix(text, "["+strings.ToUpper(v.name)+"]"); ok {
			level, text = v.level, strings.TrimSpace(rest)
		}
	}
	return slog.NewRecord(time.Now(), level, text, 0)
}

// words are the last lines that say something, for the text of an error.
func (l *pluginLog) words() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panicked != "" { // tells more than the end of its stack
		return printable(cut(l.panicked, 300))
	}
	return printable(cut(l.last, 300))
}

// printable replaces what could garble a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
