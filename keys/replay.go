package keys

type replay struct{ w window }
