package machine

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "7": 7, "512B": 512, "3KiB": 3 << 10, "512 MiB": 512 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "-1", "GiB", "1.5GiB", "9999999999999TiB", "1GB", "1gib", "99999999999999999999"} {
		if n, err := ParseSize(bad); err == nil || !strings.Contains(err.Error(), "want a number of bytes") {
			t.Errorf("%q: got %d, %v, want an error", bad, n, err)
		}
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	before, err := Resident(os.Getpid())
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("got %d, %v, want ErrUnknown", before, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	taken := make([]byte, size)
	for i := 0; i < len(taken); i += 1024 {
		taken[i] = 1
	}
	after, err := Resident(os.Getpid())
	if err != nil || after < before+size/2 {
		t.Errorf("got %d after %d and %d bytes more, %v", after, before, size, err)
	}
	runtime.KeepAlive(taken)
	free, err := Available()
	if err != nil || free < 1<<20 {
		t.Errorf("available: got %d, %v", free, err)
	}
	if all := Installed(); all < free {
		t.Errorf("%d bytes are available of %d", free, all)
	}
	if Processor() == "" {
		t.Error("the processor has no name")
	}
	if _, err := Resident(1 << 30); err == nil {
		t.Error("a process that cannot be: got no error")
	}
}
