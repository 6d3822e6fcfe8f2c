package machine

import "testing"

func TestAvailable(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal: 5 kB\nMemFree: 3 kB\nMemAvailable:    12 kB\n": 12 << 10,
		"MemTotal: 5 kB\n":     -1,
		"MemAvailable: much\n": -1,
		"MemAvailable:\n":      -1,
		"":                     -1,
	} {
		if got, ok := available(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %d, %t, want %d", text, got, ok, want)
		}
	}
}
