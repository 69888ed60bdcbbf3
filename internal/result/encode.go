package result

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"

	"dialtone/internal/clean"
)

// Encode writes a document in its one form, whether it goes to a file, over the
// wire or to a person: indented JSON with lists and tables that are never null
// and that is safe to show on a terminal. It does not change v.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(withLists(reflect.ValueOf(v)).Interface()); err != nil {
		return nil, err
	}
	return clean.JSON(b.Bytes()), nil
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// withLists returns a copy of v in which no list and no table is nil: [] and {}
// in JSON, not null. A key that is left out when empty stays left out, since
// encoding/json asks for the length. What a type writes by itself is its own
// business. What need not change is shared with v.
func withLists(v reflect.Value) reflect.Value {
	if !v.IsValid() || v.Type().Implements(jsonMarshaler) || v.Type().Implements(textMarshaler) {
		return v
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(withLists(v.Elem()))
		return c
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.Field(i).Set(withLists(v.Field(i)))
			}
		}
		return c
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(withLists(v.Index(i)))
		}
		return c
	case reflect.Map:
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, k := range v.MapKeys() {
			c.SetMapIndex(k, withLists(v.MapIndex(k)))
		}
		return c
	}
	return v
}
