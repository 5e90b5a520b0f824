# opa: false
package t

result := regex.template_match("urn:{.*}", "zz", "{", "}")
