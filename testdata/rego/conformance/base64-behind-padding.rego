# opa: [false,true,false]
package t

result := [base64.is_valid("QQ==QUJD"), base64.is_valid("QUI=\n"), base64.is_valid("QQ")]
