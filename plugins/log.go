package plugins

import (
	"io"
	"log/slog"
	"strings"
)

// maxText is how much of one text goes into a log line, so that the line stays under the protocol's 64 KiB.
const maxText = 16 << 10

// newLog returns a handler that writes lines as the protocol's section "Health and logs" wants them. The host decides
// which levels are shown.
func newLog(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug - 4, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return clip(a)
		}
		switch level, isLevel := a.Value.Any().(slog.Level); {
		case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
			return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
		case a.Key == slog.LevelKey && isLevel:
			return slog.String("@level", levelName(level))
		case a.Key == slog.MessageKey:
			a.Key = "@message"
		}
		return clip(a)
	}})
}

func clip(a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindString {
		return a
	}
	if s := a.Value.String(); len(s) > maxText {
		a.Value = slog.StringValue(strings.ToValidUTF8(s[:maxText-3], "") + "...")
	}
	return a
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "trace"
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}
