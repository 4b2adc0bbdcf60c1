//! Links from a response that creates an entity to the operations that take its id.

use super::document::objects;
use serde_json::{Value, json};

/// The operations that create an entity, and the path parameter by which other operations name it.
const MAKERS: &[(&str, &str)] = &[("createAgent", "agent"), ("createNumber", "number"), ("issueToken", "token")];

/// Adds links to the responses of the operations that create an entity.
pub(super) fn complete(paths: &mut Value) {
    for (maker, parameter) in MAKERS {
        let links = links(paths, parameter);
        for operation in operations(paths).filter(|operation| operation["operationId"] == *maker) {
            for status in ["200", "201"] {
                if let Some(response) = operation["responses"].get_mut(status) {
                    response["links"] = links.clone();
                }
            }
        }
    }
}

fn links(paths: &mut Value, parameter: &str) -> Value {
    let takes = |operation: &&mut Value| {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        // A contact is a path parameter too, but it is a phone number, not an id.
        parameters.into_iter().any(|one| one["name"] == parameter && one["schema"]["format"] == "uuid")
    };
    let link = |operation: &mut Value| {
        let name = operation["operationId"].as_str()?.to_owned();
        let link = json!({"operationId": name, "parameters": {parameter: "$response.body#/data/id"}});
        Some((name, link))
    };
    Value::Object(operations(paths).filter(takes).filter_map(link).collect())
}

fn operations(paths: &mut Value) -> impl Iterator<Item = &mut Value> {
    objects(paths).flat_map(objects)
}
