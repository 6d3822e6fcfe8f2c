package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/resnet-run/resnet-run/internal/report"
)

// takeUp reads the report that --resume names and sets the flags as they were then.
//
// Errors: a flag that was given now and says something else, or that has no meaning together with --resume.
func (f *conformanceFlags) takeUp() (*report.Conformance, error) {
	path := f.resume
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, conformanceJSON)
		if f.out == "" {
			f.out = f.resume
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	c, err := report.ReadConformance(file)
	if err != nil {
		return nil, fmt.Errorf("--resume %s: %w", path, err)
	}
	for _, flag := range []string{"backend", "device", "precision", "list", "child", "after"} {
		if f.set.Changed(flag) {
			return nil, fmt.Errorf("--%s: want none with --resume, which takes the devices of the report", flag)
		}
	}
	timeout, err := time.ParseDuration(c.Timeout)
	if err != nil {
		return nil, fmt.Errorf("--resume %s: timeout: want a duration, got %.40q", path, c.Timeout)
	}
	known, limits, repeat := joined(c.Known), joined(c.Limits), max(c.Repeat, 1)
	var errs []error
	for _, v := range []struct{ flag, then, now string }{
		{"profile", c.Profile, f.profile}, {"filter", c.Filter, f.filter}, {"strict", fmt.Sprint(c.Strict), fmt.Sprint(f.strict)},
		{"timeout", timeout.String(), f.timeout.String()}, {"repeat", strconv.Itoa(repeat), strconv.Itoa(f.repeat)}, {"known", fmt.Sprint(known), fmt.Sprint(f.known)}, {"limit", fmt.Sprint(limits), fmt.Sprint(f.limits)},
	} {
		if f.set.Changed(v.flag) && v.then != v.now {
			errs = append(errs, fmt.Errorf("--%s: want as in the report that is resumed, %q, got %q", v.flag, v.then, v.now))
		}
	}
	f.profile, f.filter, f.strict, f.timeout, f.known, f.limits, f.repeat = c.Profile, c.Filter, c.Strict, timeout, known, limits, repeat
	return &c, errors.Join(errs...)
}

func joined(list []report.Exception) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.Case+"="+e.Reason)
	}
	return out
}

// checkEarlier holds the report to what this program would have made: the same program and the same cases in the same
// order. Whether the devices are the same shows when they are opened.
func (r *conformanceRun) checkEarlier() error {
	var errs []error
	differ := func(field string, want, got any) {
		if want != got {
			errs = append(errs, fmt.Errorf("%s: want %v, got %v", field, want, got))
		}
	}
	now := buildVersion()
	v := r.c.Version
	differ("version", now.Version, v.Version)
	differ("revision", now.Revision, v.Revision)
	differ("go", now.Go, v.Go)
	differ("platform", now.Platform, v.Platform)
	differ("program (SHA-256 of its file)", programDigest(), r.c.Program)
	differ("cases", len(r.cases), r.c.Cases)
	if len(r.c.Devices) == 0 {
		errs = append(errs, errors.New("devices: want at least one"))
	}
	if len(errs) == 0 {
		for _, d := range r.c.Devices {
			if err := r.app.knowsTarget(d.Target); err != nil {
				errs = append(errs, fmt.Errorf("device %s: %w", d.Target, err))
			}
			if len(d.Results) > len(r.cases) {
				errs = append(errs, fmt.Errorf("device %s: want at most %d results, got %d", d.Target, len(r.cases), len(d.Results)))
				continue
			}
			for i, v := range d.Results {
				if v.Case != r.cases[i].Name {
					errs = append(errs, fmt.Errorf("device %s: result %d: want that of case %q, got %.80q", d.Target, i, r.cases[i].Name, v.Case))
					break
				}
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return failure(exitUsage, fmt.Errorf("--resume: the report is not of this program: %w", err))
	}
	return nil
}

// programDigest is the SHA-256 of the program's own file, empty when it cannot be read: builds without a revision cannot
// be told apart by anything else.
var programDigest = sync.OnceValue(func() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
})
