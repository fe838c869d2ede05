//! Conditional writes that know themselves again.
//!
//! The SDK sends a request again when its answer was lost, and then DynamoDB refuses it because of its own first
//! arrival. So every write leaves a random name in its item: whoever is refused reads the item, and finds either another's
//! write there or its own.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use respaldo_core::Result;
use ulid::Ulid;

use super::Dynamo;
use super::attributes::{BORN, Item, Key, PK, WRITE, text, text_in};
use super::failure::is_refusal;

/// How a conditional write ended.
#[derive(Debug)]
pub(super) enum Written {
    /// It is stored; with the attributes that were asked for.
    Done(Item),
    /// It was stored by a try whose answer was lost; what is there now.
    DoneBefore(Item),
    /// Its condition did not hold; what is there now.
    Refused(Option<Item>),
}

impl Written {
    pub(super) fn is_done(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// A change of one item, and the conditions under which it is made.
#[derive(Debug, Default)]
pub(super) struct Change {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
}

impl Change {
    /// The placeholder of an attribute's name: many names are words of DynamoDB's.
    pub(super) fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    pub(super) fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    pub(super) fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let expression = self.value(value);
        self.set_to(attribute, &expression)
    }

    /// Sets an attribute to what an expression gives.
    pub(super) fn set_to(mut self, attribute: &str, expression: &str) -> Self {
        let name = self.name(attribute);
        self.sets.push(format!("{name} = {expression}"));
        self
    }

    pub(super) fn remove(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.removes.push(name);
        self
    }

    /// Sets it, or removes it where there is no value.
    pub(super) fn put(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    pub(super) fn when(mut self, condition: String) -> Self {
        self.conditions.push(condition);
        self
    }

    pub(super) fn when_equal(mut self, attribute: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(attribute), self.value(value));
        self.when(format!("{name} = {value}"))
    }

    pub(super) fn when_absent(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.when(format!("attribute_not_exists({name})"))
    }

    pub(super) fn when_present(mut self, attribute: &str) -> Self {
        let name = self.name(attribute);
        self.when(format!("attribute_exists({name})"))
    }

    fn update(&self) -> String {
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        clause("SET", &self.sets) + &clause("REMOVE", &self.removes)
    }

    fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then_some(self.values)
    }
}

impl Dynamo {
    /// Stores an item where there is none.
    pub(super) async fn put_new(&self, operation: &str, key: &Key, attributes: Item) -> Result<Written> {
        let write = Ulid::generate().to_string();
        let mut item = attributes;
        item.extend(key.clone().into_item());
        item.insert(WRITE.to_owned(), text(&write));
        item.insert(BORN.to_owned(), text(&write));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        match put.send().await {
            Ok(_stored) => Ok(Written::Done(Item::new())),
            Err(error) if is_refusal(&error) => self.recognise(operation, key, BORN, &write).await,
            Err(error) => Err(self.failure(operation, "PutItem", &error)),
        }
    }

    /// Changes an item, or makes it where its conditions allow that; answers the attributes that `answer` chooses.
    pub(super) async fn update(
        &self,
        operation: &str,
        key: &Key,
        change: Change,
        answer: ReturnValue,
    ) -> Result<Written> {
        let write = Ulid::generate().to_string();
        let change = change.set(WRITE, text(&write));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.clone().into_item()))
            .update_expression(change.update())
            .set_condition_expression(change.condition())
            .set_expression_attribute_names(Some(change.names.clone()))
            .set_expression_attribute_values(change.values())
            .return_values(answer);
        match update.send().await {
            Ok(stored) => Ok(Written::Done(stored.attributes.unwrap_or_default())),
            Err(error) if is_refusal(&error) => self.recognise(operation, key, WRITE, &write).await,
            Err(error) => Err(self.failure(operation, "UpdateItem", &error)),
        }
    }

    /// Removes an item under the conditions of `change`; false when they do not hold.
    pub(super) async fn remove(&self, operation: &str, key: &Key, change: Change) -> Result<bool> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key.clone().into_item()))
            .set_condition_expression(change.condition())
            .set_expression_attribute_names(Some(change.names.clone()).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(change.values());
        match delete.send().await {
            Ok(_removed) => Ok(true),
            Err(error) if is_refusal(&error) => Ok(false),
            Err(error) => Err(self.failure(operation, "DeleteItem", &error)),
        }
    }

    /// After a refusal: was the item that is there written by the refused write itself?
    async fn recognise(&self, operation: &str, key: &Key, attribute: &str, write: &str) -> Result<Written> {
        let there = self.get(operation, key).await?;
        Ok(match there {
            Some(item) if text_in(&item, attribute) == Some(write) => Written::DoneBefore(item),
            other => Written::Refused(other),
        })
    }
}
