package weights

import "fmt"

// The values that the pickle machine makes. Besides these types: nil (None), bool, int64, float64, string.
// Lists, dicts and the like are pointers, because a pickle refers to them again by memo.
type (
	pyTuple  struct{ items []any }
	pyList   struct{ items []any }
	pySet    struct{} // nothing reads the items
	pyBytes  struct{ b []byte }
	pyBigInt struct{ b []byte } // little-endian two's complement, more than 8 bytes

	pyDict struct{ entries []pyEntry } // in the order they were set; keys may repeat

	pyEntry struct{ key, value any }

	// pyGlobal is a class or function by its full name, "module.name". It is a name and nothing else.
	pyGlobal struct{ name string }

	// pyOpaque stands for the result of calling something that we do not know. Nothing was called.
	pyOpaque struct{ class string }

	// pyStorage is a storage of a PyTorch file, by key.
	pyStorage struct {
		key        string
		dtype      dtype
		elems      int64 // of the whole storage
		viewOffset int64 // legacy only: where a view starts in it, in elements
		viewElems  int64 // elements of the view; elems when there is none
		at         int64 // where the pickle mentions it
	}

	// pyTensor is a view of a storage, not yet checked.
	pyTensor struct {
		storage *pyStorage
		dtype   dtype
		offset  int64
		size    *pyTuple
		stride  *pyTuple
		at      int64 // where the pickle makes it
	}
)

// describe names a value's kind for an error.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64, *pyBigInt:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case *pyBytes:
		return "bytes"
	case *pyTuple:
		return fmt.Sprintf("a tuple of %d", len(v.items))
	case *pyList:
		return fmt.Sprintf("a list of %d", len(v.items))
	case *pySet:
		return "a set"
	case *pyDict:
		return fmt.Sprintf("a dict of %d", len(v.entries))
	case *pyGlobal:
		return "the name " + quote(v.name)
	case *pyOpaque:
		return "an object of " + quote(v.class) + ", which is not interpreted"
	case *pyStorage:
		return "a storage"
	case *pyTensor:
		return "a tensor"
	}
	return fmt.Sprintf("%T", v)
}
