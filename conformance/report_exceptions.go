package conformance

// MatchExceptions returns a function that finds the first exception of a list that is about the case of a name, by the
// rule of [Options]. It is for callers that weigh outcomes which [Execute] cannot tell, such as a case that ended the process
// it ran in, or a report that someone else made.
//
// Errors: an exception without a reason, or that is no regular expression.
func MatchExceptions(list []Exception) (func(name string) (Exception, bool), error) {
	compiled, err := rules(list)
	if err != nil {
		return nil, err
	}
	return func(name string) (Exception, bool) {
		r, ok := find(compiled, name)
		return r.Exception, ok
	}, nil
}

// Seed is the seed of all inputs and parameters of the suite: together with the names of the cases it says what they are.
const Seed uint64 = seed
