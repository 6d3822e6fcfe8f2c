package host

import (
	"errors"
	"fmt"
)

// State is how a plugin stands. The zero value is invalid.
type State uint8

// The states.
const (
	InvalidState State = iota
	Trusted            // as the user has trusted it
	Untrusted          // never trusted, or another one of the same name was
	Changed            // trusted once, and changed since
	Broken             // the manifest is wrong, or hidden by another
)

// String returns "trusted", "untrusted", "changed" or "broken".
func (s State) String() string {
	switch s {
	case Trusted:
		return "trusted"
	case Untrusted:
		return "untrusted"
	case Changed:
		return "changed"
	case Broken:
		return "broken"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText writes the String form.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Examine hashes a plugin's files and says how it stands, and why it is not trusted. It starts nothing.
func Examine(p Plugin, pins map[string]Pin) (State, error) {
	pin, ok := pins[p.Name]
	err := p.Err
	if err == nil && !ok {
		err = ErrNotTrusted
	}
	if err == nil {
		var v *verified
		if v, err = verify(p, pin); err == nil {
			v.close()
			return Trusted, nil
		}
	}
	state := Broken
	switch {
	case errors.Is(err, ErrNotTrusted):
		state = Untrusted
	case ok && p.Err == nil:
		state = Changed
	}
	return state, explain(p.Name, err)
}

// explain adds what the user can do about a plugin that is not started.
func explain(name string, err error) error {
	switch {
	case errors.Is(err, ErrChanged):
		return fmt.Errorf("plugin %q: %w. If you meant this change: resnet-run plugins trust %s", name, err, name)
	case errors.Is(err, ErrNotTrusted):
		return fmt.Errorf("plugin %q: %w. It runs with your rights; to see what it is: resnet-run plugins describe %s; to trust it: resnet-run plugins trust %s", name, err, name, name)
	}
	return fmt.Errorf("plugin %q: %w", name, err)
}
