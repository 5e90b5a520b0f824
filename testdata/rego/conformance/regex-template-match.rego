# opa: [true,true]
package t

result := [regex.template_match("urn:foo:{.*}", "urn:foo:bar", "{", "}"), regex.template_match("urn:foo:<.*>", "urn:foo:bar", "<", ">")]
