module portcullis.test/sdk

go 1.24.0

require github.com/ory/kratos-client-go v1.3.8
